using System.Text;
using Perennial.Core;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Universal;
using Perennial.Training.Checkpoints;
using Perennial.Training.Parallel;

namespace Perennial.Training.Runs;

/// <summary>What ranks of a fixed shape do with the run folder together: every call is made by all that have a place.</summary>
/// <param name="folder">The folder.</param>
/// <param name="earlierSteps">Steps of the folder's plan, where it has one.</param>
/// <param name="tell">Takes events.</param>
internal sealed class FixedDisk(RunFolder folder, long? earlierSteps, Action<RunEvent> tell)
{
    /// <summary>Whether nothing newer than a step is whole on disk, and no longer plan goes back behind it.</summary>
    public bool HasNothingNewer(FixedPart part, long step) =>
        !(!part.HasState && earlierSteps < part.Parts.Stages[^1].Steps) && !folder.Checkpoints.List().Any(entry => entry.Step > step && Resilience.CheckpointStore.Problem(entry) is null);

    /// <summary>The last step that the folder has a checkpoint of; −1 for none.</summary>
    public long Newest => folder.Checkpoints.List().Select(entry => entry.Step).DefaultIfEmpty(-1).Max();

    /// <summary>Makes ready to write; the leader's.</summary>
    public void Open()
    {
        Directory.CreateDirectory(folder.Checkpoints.Root);
        folder.Checkpoints.Clean();
    }

    /// <summary>What is on disk behind the present state, the same on every rank: they save together, or none does.</summary>
    public void NoteDurable(FixedPart part)
    {
        long[] newest = [folder.Checkpoints.List().Where(entry => entry.Step < part.Progress.Step).Select(entry => entry.Step).DefaultIfEmpty(-1).First()];
        part.World.Broadcast<long>(newest, 0);
        part.Writer.DurableStep = newest[0];
    }

    /// <summary>Writes down what memory will be of, before it is; the leader's.</summary>
    public void NoteMemory(FixedPart? part)
    {
        if (part is not { IsLeader: true, Memory: { } memory }) return;
        try
        {
            memory.Kept(part.Cut).Write(folder.MemoryPath);
        }
        catch (Exception error) when (FileErrors.Is(error))
        {
            tell(new Notice("warning", $"{error.Message}; should all processes be lost at once under another shape than the recipe's, they go on from a checkpoint"));
        }
    }

    /// <summary>Takes the newest whole checkpoint, or saves the beginning; says which.</summary>
    /// <param name="part">The part.</param>
    /// <param name="hasBegun">Whether the run has been trained by anyone here: then a checkpoint must be there.</param>
    public string Read(FixedPart part, bool hasBegun)
    {
        var (parts, world) = (part.Parts, part.World);
        var newest = part.IsLeader ? folder.Checkpoints.Newest(reason => tell(new Notice("warning", reason))) : null;
        var extension = newest is not null && !hasBegun && earlierSteps is { } before ? RunExtension.Plan(parts, folder, newest, before, line => tell(new Notice("warning", line))) : null;
        extension?.Apply(folder);
        var path = Encoding.UTF8.GetString(GateExchange.Broadcast(world, part.IsLeader ? Encoding.UTF8.GetBytes((extension?.From ?? newest)?.Folder ?? "") : null, 0));
        if (path.Length == 0)
        {
            // The beginning is saved too: whoever is lost before the first checkpoint must find something.
            if (hasBegun) throw PerennialException.Failed($"{folder.Path}: no whole checkpoint is left to go back to; start over with --fresh");
            part.Parts.FillWeights();
            Save(part);
            return "from the beginning";
        }
        var buffers = part.Replace();
        var restored = ShardedCheckpoint.Read(path, part.State.Layout, part.Decoder.Rank, buffers, parts.Recipe.Seed, parts.StreamFingerprint, withExpected: part.IsLeader, world);
        var expected = restored.Expected;
        if (!ShardedCheckpoint.IsIn(path)) expected = StateSummary.FromJson(GateExchange.Broadcast(world, part.IsLeader ? expected!.ToJson() : null, 0));
        GateExchange.Require(world, expected!, part.State.Layout, RankEvidence.Gather(part.State.Layout, part.Decoder.Rank, buffers, restored.Record, restored.Load.Ledgers));
        parts.State.Progress = restored.Progress;
        part.Writer.DurableStep = restored.Progress.Step;
        Extend(part, extension);
        double[] read = [restored.Load.BytesRead, restored.Load.BytesNeeded];
        world.AllReduce<double>(read);
        return $"resuming from {path} (step {restored.Progress.Step}): {world.Size} ranks read {read[0] / (1 << 20):F1} MiB for the {read[1] / (1 << 20):F1} MiB that {part.Decoder.Placement.Shape} needs; content, slots, progress and keys are those that were saved";
    }

    /// <summary>Begins to write the present step beside the training; while its state is in memory, a disk that is full for a while does not end the run.</summary>
    /// <exception cref="PerennialException">Exit 1, on every rank: this one or the one before could not be written, and memory does not hold the state.</exception>
    public void Write(FixedPart part)
    {
        Settle(part);
        Report(part, part.Writer.Begin(part.World), FullDisk.GoingOn);
    }

    /// <summary>Waits for the write under way.</summary>
    /// <exception cref="PerennialException">Exit 1, on every rank: it failed, and memory does not hold the state.</exception>
    public void Settle(FixedPart part) => Report(part, part.Writer.Settle(part.World), FullDisk.GoingOn);

    /// <summary>Makes the present step durable, unless it is already; where the state outlives the processes in memory, a full disk is given time.</summary>
    /// <exception cref="PerennialException">Exit 1, on every rank: it cannot be written.</exception>
    public void Save(FixedPart part)
    {
        Settle(part);
        for (var tries = 1; part.Writer.DurableStep != part.Progress.Step; tries++)
        {
            var words = tries < FullDisk.MostSaves ? FullDisk.Again : null;
            if (Report(part, part.Writer.Begin(part.World), words) && Report(part, part.Writer.Settle(part.World), words)) break;
            FullDisk.Wait();
        }
        // Nobody goes on before the checkpoint is one.
        part.World.Barrier();
    }

    /// <summary>Tells what came of a save; whether nothing failed. The leader says for all whether what failed is borne.</summary>
    private bool Report(FixedPart part, SaveOutcome outcome, string? words)
    {
        if (outcome.Written is { } written) tell(written);
        if (outcome.Problem is not { } problem) return true;
        long[] isBorne = [words is not null && part.Memory is { Snapshots.IsReady: true } ? 1 : 0];
        part.World.Broadcast<long>(isBorne, 0);
        if (isBorne[0] == 0) throw PerennialException.Failed(problem);
        tell(new Notice("warning", $"{problem}; {words}"));
        return false;
    }

    /// <summary>Where the schedule begins again after an earlier plan, everyone learns of it, and it is durable before the folder has the new recipe.</summary>
    private void Extend(FixedPart part, RunExtension? extension)
    {
        var (progress, world) = (part.Progress, part.World);
        if (extension is not null) tell(new Notice("info", extension.Words));
        var totals = part.IsLeader ? (extension?.EarlierTotals(progress) ?? progress.EarlierTotals) : [];
        long[] count = [totals.Count];
        world.Broadcast<long>(count, 0);
        var all = new long[count[0]];
        totals.ToArray().CopyTo(all, 0);
        world.Broadcast<long>(all, 0);
        if (all.SequenceEqual(progress.EarlierTotals)) return;
        part.Parts.State.Progress = progress with { EarlierTotals = all };
        part.Writer.DurableStep = -1;
        Save(part);
    }
}
