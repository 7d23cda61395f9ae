using System.Text;
using System.Text.Json;
using Perennial.Core;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Partition;
using Perennial.Resilience.Snapshots;
using Perennial.Training.Loop;
using Perennial.Training.Memory;
using Perennial.Training.Parallel;

namespace Perennial.Training.Runs;

/// <summary>
/// Where all processes were lost, memory may be of another shape than the recipe's: the one in which they were last. Those that come after them take its
/// places first, empty as they are, and go on from there as after any other loss.
/// </summary>
/// <param name="run">The run.</param>
/// <param name="parts">The run as its recipe has it.</param>
internal sealed class FixedRecall(FixedRun run, RunParts parts)
{
    /// <summary>Older than any membership: what has a state of its own comes first.</summary>
    public const long Lineage = 0;
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(2), Patience = TimeSpan.FromSeconds(3);

    /// <summary>
    /// This process's part of the shape that memory is of, without a state; null where memory is of the recipe's shape, has nothing, or is of more
    /// processes than are here. All processes call it.
    /// </summary>
    /// <param name="all">All of them, by place.</param>
    /// <param name="nodes">Their nodes.</param>
    /// <exception cref="CommunicatorException">A process was lost.</exception>
    public FixedPart? Take(ICommunicator all, IReadOnlyList<string> nodes)
    {
        if (run.Options.Memory is not { } settings) return null;
        var text = GateExchange.Broadcast(all, all.Rank == 0 ? JsonSerializer.SerializeToUtf8Bytes(Find(settings, nodes)) : null, 0);
        if (JsonSerializer.Deserialize<KeptShape?>(text) is not { } kept || kept.Shape.Ranks > all.Size) return null;
        var part = all.Rank < kept.Shape.Ranks ? new FixedPart(parts.Under(new ParallelPlace(kept.Shape, all.Rank, kept.Cut.Cut)), run) : null;
        try
        {
            if (part is not null) part.State.Meet(all);
            else _ = ShardedState.Listen(new ParallelPlace(kept.Shape, 0, kept.Cut.Cut).Placement(parts.Recipe, parts.Config), all);
        }
        catch
        {
            part?.Dispose();
            throw;
        }
        if (part is null) return null;
        // Under a recipe that keeps other things the slices are of no use.
        if (part.Memory!.Recall(kept))
        {
            part.Lineages = [Lineage];
            return part;
        }
        part.Dispose();
        return null;
    }

    private KeptShape? Find(MemorySettings settings, IReadOnlyList<string> nodes)
    {
        var wanted = parts.Recipe.Parallel!.Shape;
        var present = new ShapeCut(wanted, StagePartition.Even(parts.Config.Layers, wanted.Pipeline));
        try
        {
            var known = KeptShape.Read(run.Folder.MemoryPath);
            if (known.All(kept => kept.Is(present, nodes))) return null;
            var held = new SlicedRestore(settings.RunId, [.. settings.Managers.Values.Distinct()], Timeout).Gather(Patience);
            return known.Select(kept => (Kept: kept, Step: kept.NewestStep(held, settings.Parity))).Where(one => one.Step >= 0).OrderByDescending(one => one.Step).Select(one => one.Kept).FirstOrDefault() is { } newest
                && !newest.Is(present, nodes) ? newest : null;
        }
        catch (Exception error) when (error is PerennialException || FileErrors.Is(error))
        {
            run.Tell(new Notice("warning", $"what memory is of is not known: {error.Message}"));
            return null;
        }
    }
}
