using System.Text.Json;
using System.Text.Json.Serialization;
using Perennial.Models;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Partition;
using Perennial.Training.Bench;
using Perennial.Training.Loop;
using Perennial.Training.Recipes;

namespace Perennial.Training.Parallel;

/// <summary>The shape that present processes go on in, and who stands where.</summary>
/// <param name="Shape">The shape.</param>
/// <param name="Ends">Its cut into stages.</param>
/// <param name="Places">Of every process its place; −1 for one that stands by.</param>
internal sealed record FixedPlan(ParallelShape Shape, int[] Ends, int[] Places)
{
    /// <summary>The shape and its stages.</summary>
    [JsonIgnore]
    public ShapeCut Cut => new(Shape, new StagePartition(Ends));

    /// <summary>Processes that stand by.</summary>
    [JsonIgnore]
    public int Spares => Places.Count(place => place < 0);

    /// <summary>For every rank in the order of places, those that stand by last, the present rank.</summary>
    [JsonIgnore]
    public IReadOnlyList<int> Order => [.. Enumerable.Range(0, Places.Length).OrderBy(rank => Places[rank] < 0).ThenBy(rank => Places[rank]).ThenBy(rank => rank)];

    /// <summary>The shape in words.</summary>
    public override string ToString() => Shape.Pipeline > 1 ? $"{Shape}, layers {Cut.Cut}" : Shape.ToString();
}

/// <summary>Makes plans for a run: the leader of the moment makes one, the others take it.</summary>
/// <param name="parts">The run as its recipe has it.</param>
/// <param name="wanted">The recipe's shape.</param>
internal sealed class FixedPlanner(RunParts parts, ParallelShape wanted)
{
    // The old state stays until the new one is whole, and a machine runs other things too.
    private const double Usable = 0.4;
    private readonly double slotShare = parts.Optimizer.Slots.Sum(slot => (double)slot.Values.NumberOfElements * slot.Values.ElementSize) / Math.Max(1, sizeof(float) * parts.Parallel!.Trained.Layout.Length);

    /// <summary>Memory of the machine (or of the container) in bytes; what each process may use is its share.</summary>
    public static long MachineBytes => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <summary>The plan, the same on all; null where those who are there must wait for more.</summary>
    /// <exception cref="CommunicatorException">A process was lost.</exception>
    public FixedPlan? Agree(ICommunicator group, RollCall roll, IReadOnlyList<int> orders)
    {
        var made = group.Rank == 0 ? JsonSerializer.SerializeToUtf8Bytes(Make(roll, orders)) : null;
        return JsonSerializer.Deserialize<FixedPlan?>(GateExchange.Broadcast(group, made, 0));
    }

    /// <summary>The plan for those who are there.</summary>
    public FixedPlan? Make(RollCall roll, IReadOnlyList<int> orders)
    {
        // Where everybody is new all are waited for, as at the beginning.
        if (roll.Present.Count < wanted.Ranks && !roll.HasBegun) return null;
        if (ReshapePlanner.Best(Problem(roll)) is not { } best) return null;
        var to = new ShapeCut(best.Shape, best.Cut ?? StagePartition.Even(parts.Config.Layers, best.Shape.Pipeline));
        var from = roll.States().Concat(roll.Arrangements()).FirstOrDefault();
        var held = roll.Present.Select((_, rank) => from?.Parts[rank]?.Place ?? -1).ToList();
        return new(to.Shape, [.. to.Cut.Ends], [.. PlaceAssignment.Of(to, from?.Cut, held, orders)]);
    }

    private ReshapeProblem Problem(RollCall roll)
    {
        var (recipe, config) = (parts.Recipe, parts.Config);
        var perNode = roll.Present.GroupBy(one => one.Node).ToDictionary(node => node.Key, node => node.Count(), StringComparer.Ordinal);
        var least = roll.Present.Min(one => one.Bytes / perNode[one.Node]);
        return new(wanted, roll.Present.Count, Needs(config), recipe.Training.Batch, recipe.Training.MicroBatch ?? MicroBatches.DefaultRows(recipe.Training.Batch, config.Context))
        {
            CapacityBytes = least > 0 ? (long)(Usable * least) : null,
            Allows = shape => ParallelPlace.Allows(recipe, config, shape),
        };
    }

    /// <summary>Embedding and head count with the layers beside them.</summary>
    private List<LayerNeed> Needs(DecoderConfig config)
    {
        var seconds = TrainingFlops.PerLayer(config, config.Context);
        var ends = (long)config.Vocabulary * config.Width;
        var block = (DecoderLayout.Of(config).Length - (config.TiedHead ? 1 : 2) * ends) / config.Layers;
        var activations = (6L * config.Width + 2L * config.KeyValueHeads * config.HeadWidth + 3L * config.Intermediate) * sizeof(float) * config.Context;
        return [.. seconds.Select((time, layer) =>
        {
            var bytes = sizeof(float) * (block + (layer == 0 ? ends : 0) + (layer == config.Layers - 1 ? ends : 0)) / wanted.Tensor;
            return new LayerNeed(time, 2 * bytes, (long)(slotShare * bytes), activations / wanted.Tensor);
        })];
    }
}
