using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Perennial.Core;
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

    /// <summary>Speed factor of every process, as measured; null where all are alike, or that was not asked for.</summary>
    public double[]? Speeds { get; init; }

    /// <summary>How many layers the head costs, as measured; 0 where that is not known.</summary>
    public double HeadLayers { get; init; }

    /// <summary>What was measured, in words; empty where it makes no difference.</summary>
    [JsonIgnore]
    public string Measured => Speeds is not { } speeds ? ""
        : string.Create(CultureInfo.InvariantCulture, $"; measured speeds by rank {string.Join('/', Order.Select(process => speeds[process]))}{(HeadLayers > 0 && Shape.Pipeline > 1 ? string.Create(CultureInfo.InvariantCulture, $", the head is as slow as {HeadLayers:F1} layers") : "")}");

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
        var from = roll.States().Concat(roll.Arrangements()).FirstOrDefault();
        var held = roll.Present.Select((_, rank) => from?.Parts[rank]?.Place ?? -1).ToList();
        var paces = roll.Present.Select(one => one.Pace).ToList();
        var problem = Problem(roll, paces, from?.Cut, held, orders);
        if (ReshapePlanner.Best(problem) is not { } best) return null;
        var to = new ShapeCut(best.Shape, best.Cut ?? StagePartition.Even(parts.Config.Layers, best.Shape.Pipeline));
        return new(to.Shape, [.. to.Cut.Ends], [.. PlaceAssignment.Of(to, from?.Cut, held, orders, best.Stages)]) { Speeds = problem.Speeds?.ToArray(), HeadLayers = HeadLayers(paces) };
    }

    /// <summary>How many times as fast a step would be under the plan that would be made now.</summary>
    /// <param name="roll">Who is there.</param>
    /// <param name="present">The plan that they follow.</param>
    /// <param name="orders">Of every process the place that it was started for.</param>
    /// <param name="paces">What each measured.</param>
    public double Gain(RollCall roll, FixedPlan present, IReadOnlyList<int> orders, IReadOnlyList<StagePace> paces)
    {
        var problem = Problem(roll, paces, present.Cut, present.Places, orders);
        var stages = present.Places.Select(place => place < 0 ? -1 : present.Shape.CoordinatesOf(place).Pipeline).ToList();
        return ReshapePlanner.Best(problem) is { } best ? ReshapePlanner.StepSeconds(problem, present.Cut, stages) / best.StepSeconds : 1;
    }

    private static double Middle(ShapeCut cut, int place)
    {
        var stage = cut.Shape.CoordinatesOf(place).Pipeline;
        return (cut.Cut.First(stage) + cut.Cut.Ends[stage] - 1) / 2.0;
    }

    /// <summary>The head's cost in layers: on the processes that have both, whatever their speed; 0 where nobody has measured it.</summary>
    private static double HeadLayers(IEnumerable<StagePace> paces) => paces.Where(pace => pace is { Layer: > 0, Head: > 0 }).Select(pace => pace.Head / pace.Layer).ToList() is { Count: > 0 } ratios ? Quantile.Median(ratios) : 0;

    private ReshapeProblem Problem(RollCall roll, IReadOnlyList<StagePace> paces, ShapeCut? from, IReadOnlyList<int> held, IReadOnlyList<int> orders)
    {
        var (recipe, config) = (parts.Recipe, parts.Config);
        var perNode = roll.Present.GroupBy(one => one.Node).ToDictionary(node => node.Key, node => node.Count(), StringComparer.Ordinal);
        var least = roll.Present.Min(one => one.Bytes / perNode[one.Node]);
        return new(wanted, roll.Present.Count, Needs(config, HeadLayers(paces)), recipe.Training.Batch, recipe.Training.MicroBatch ?? MicroBatches.DefaultRows(recipe.Training.Batch, config.Context))
        {
            CapacityBytes = least > 0 ? (long)(Usable * least) : null,
            Allows = shape => ParallelPlace.Allows(recipe, config, shape),
            // Who waits for every place wants every step computed under the recipe's own shape and cut.
            Speeds = recipe.Resilience.Balance == BalanceChoice.Even || recipe.Parallel!.Reshape == ReshapeChoice.Wait ? null : RankSpeeds.Of([.. paces.Select(pace => pace.Layer)]),
            MayCut = recipe.Resilience.Balance == BalanceChoice.Measured && recipe.Parallel!.Reshape == ReshapeChoice.Shrink && HeadLayers(paces) > 0,
            Homes = [.. held.Select(place => place < 0 ? double.NaN : Middle(from!, place))],
            Started = orders.Order().SequenceEqual(Enumerable.Range(0, wanted.Ranks)) ? orders : null,
        };
    }

    /// <summary>Embedding and head count with the layers beside them. Layers are alike and cost their FLOPs; the head costs what it was measured to, where it was.</summary>
    private List<LayerNeed> Needs(DecoderConfig config, double headLayers)
    {
        var seconds = TrainingFlops.PerLayer(config, config.Context).ToArray();
        if (headLayers > 0) seconds[^1] = (1 + headLayers) * (seconds.Length > 1 ? seconds[0] : 1);
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
