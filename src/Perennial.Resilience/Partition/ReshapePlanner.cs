using Perennial.Resilience.Layouts;

namespace Perennial.Resilience.Partition;

/// <summary>What a layer asks of a rank that has it, before anything is cut over data ranks.</summary>
/// <param name="Seconds">Forward and backward of one sample, in any unit.</param>
/// <param name="ModelBytes">Its weights and gradients (one tensor part of them).</param>
/// <param name="OptimizerBytes">Its optimizer's state.</param>
/// <param name="ActivationBytes">Kept for the backward, a sample.</param>
public sealed record LayerNeed(double Seconds, long ModelBytes = 0, long OptimizerBytes = 0, long ActivationBytes = 0);

/// <summary>A shape is wanted for fewer processes than the recipe's takes.</summary>
/// <param name="Wanted">The recipe's shape. Its tensor degree and ZeRO stage stay.</param>
/// <param name="Processes">Processes that live.</param>
/// <param name="Layers">The layers, in order.</param>
/// <param name="Rows">Rows of the global batch, which no loss changes.</param>
/// <param name="MicroRows">Rows of a micro-batch.</param>
public sealed record ReshapeProblem(ParallelShape Wanted, int Processes, IReadOnlyList<LayerNeed> Layers, int Rows, int MicroRows)
{
    /// <summary>Memory of a rank for state and activations, in bytes; null for no limit.</summary>
    public long? CapacityBytes { get; init; }

    /// <summary>What else a shape must keep to; null for nothing.</summary>
    public Func<ParallelShape, bool>? Allows { get; init; }

    /// <summary>Speed factor of every process; null where all are alike.</summary>
    public IReadOnlyList<double>? Speeds { get; init; }

    /// <summary>Where in the model the layers are that each process has (a layer's number, of several their mean), so that few of them move; null where that does not matter.</summary>
    public IReadOnlyList<double>? Homes { get; init; }

    /// <summary>Whether the wanted shape may have another cut than the recipe's also where all processes are alike: by the costs of layers alone.</summary>
    public bool MayCut { get; init; }

    /// <summary>The place of the wanted shape that each process was started for, and has where all are there; null where that is not so.</summary>
    public IReadOnlyList<int>? Started { get; init; }
}

/// <summary>A shape to go on with.</summary>
/// <param name="Shape">The shape.</param>
/// <param name="Cut">Which layers each stage has; null for the recipe's own cut.</param>
/// <param name="StepSeconds">The estimate of a step, in the unit of the layers.</param>
public sealed record Reshape(ParallelShape Shape, StagePartition? Cut, double StepSeconds)
{
    /// <summary>Of every process the stage that it belongs in by its speed, −1 for one that stands by; null where anyone may stand anywhere.</summary>
    public IReadOnlyList<int>? Stages { get; init; }

    /// <summary>The shape in words, with the layers of each stage where there are several.</summary>
    public override string ToString() => Cut is { Stages: > 1 } cut ? $"{Shape}, layers {cut}" : Shape.ToString();
}

/// <summary>
/// The shape that those who are left can run best: every (data, pipeline) beside the recipe's tensor degree, each with the cut of its layers that
/// makes the slowest stage fastest, judged by T = Σ t_p + (M − 1)·max t_p (paper 23 §2). Data ranks have one cut, and a stage is as fast as the slowest of
/// its ranks: so processes of one speed stand in one stage, a slow stage has fewer layers, and who would only hold the others up stands by. A pure function:
/// all processes come to the same.
/// </summary>
public static class ReshapePlanner
{
    /// <summary>How many times as fast another arrangement must make a step where nobody was lost: less is not worth the move.</summary>
    public const double WorthIt = 1.2;

    private const double Tolerance = 1e-9;

    /// <summary>The recipe's shape where there are enough processes, else the fastest that fits; null where none does.</summary>
    public static Reshape? Best(ReshapeProblem problem)
    {
        ArgumentNullException.ThrowIfNull(problem);
        var wanted = problem.Wanted.Checked();
        if (problem.Processes >= wanted.Ranks) return Whole(problem, wanted);
        Reshape? best = null;
        for (var stages = 1; stages <= problem.Layers.Count && stages * wanted.Tensor <= problem.Processes; stages++)
            for (var data = 1; data <= problem.Rows && data * stages * wanted.Tensor <= problem.Processes; data++)
            {
                if (Of(problem, wanted with { Data = data, Pipeline = stages }) is not { } candidate) continue;
                if (best is null || IsBetter(candidate, best, wanted)) best = candidate;
            }
        return best;
    }

    /// <summary>A shape with its best cut; null where it is not allowed or does not fit.</summary>
    public static Reshape? Of(ReshapeProblem problem, ParallelShape shape)
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(shape);
        if (shape.Pipeline > problem.Layers.Count || problem.Allows?.Invoke(shape) == false) return null;
        var stages = problem.Processes >= shape.Ranks ? Grouped(problem, shape) : null;
        var speeds = SpeedsOf(problem, shape, stages);
        return Cut(problem, shape, speeds) is { } cut ? new(shape, cut, Seconds(problem, shape, cut, speeds)) { Stages = stages } : null;
    }

    /// <summary>The estimate of a step of the present arrangement, to compare others with.</summary>
    /// <param name="problem">Costs and speeds.</param>
    /// <param name="present">The shape and its cut.</param>
    /// <param name="stages">Of every process its stage; −1 for one that stands by.</param>
    public static double StepSeconds(ReshapeProblem problem, ShapeCut present, IReadOnlyList<int> stages)
    {
        ArgumentNullException.ThrowIfNull(problem);
        ArgumentNullException.ThrowIfNull(present);
        return Seconds(problem, present.Shape, present.Cut, SpeedsOf(problem, present.Shape, stages));
    }

    /// <summary>Everyone has its place; where a stage is slow, the cut may be another than the recipe's.</summary>
    private static Reshape Whole(ReshapeProblem problem, ParallelShape wanted)
    {
        var stages = problem is { Started: { } started, Speeds: not null } ? started.Select(place => wanted.CoordinatesOf(place).Pipeline).ToList() : null;
        var speeds = SpeedsOf(problem, wanted, stages);
        var own = new Reshape(wanted, null, Seconds(problem, wanted, StagePartition.Even(problem.Layers.Count, wanted.Pipeline), speeds));
        if ((stages is null && !problem.MayCut) || wanted.Pipeline == 1) return own;
        return Cut(problem, wanted, speeds) is { } cut && Seconds(problem, wanted, cut, speeds) is var seconds && seconds * WorthIt <= own.StepSeconds ? new(wanted, cut, seconds) : own;
    }

    /// <summary>The cut that makes the slowest stage fastest, of those that are as good the one nearest to equal parts; null where none fits.</summary>
    private static StagePartition? Cut(ReshapeProblem problem, ParallelShape shape, IReadOnlyList<double> speeds)
    {
        // Data ranks have the same layers, each by itself; ZeRO cuts what they keep of them.
        var layers = problem.Layers.Select(layer => new LayerCost(layer.Seconds, Kept(layer, shape), ActivationBytes: layer.ActivationBytes)).ToList();
        var ranks = speeds.Select(speed => new StageRanks(1) { Speeds = [speed], CapacityBytes = problem.CapacityBytes }).ToList();
        return MinimaxPartition.Find(new PartitionProblem(layers, ranks, Piece(problem, shape)), StagePartition.Even(layers.Count, shape.Pipeline));
    }

    /// <summary>
    /// The fastest processes, those of one speed in one stage; stages in the order of the layers that their processes have. Null where all are alike.
    /// </summary>
    private static int[]? Grouped(ReshapeProblem problem, ParallelShape shape)
    {
        if (problem.Speeds is not { } speeds) return null;
        double Home(int process) => problem.Homes?[process] is { } home && double.IsFinite(home) ? home : problem.Layers.Count;
        var stages = Enumerable.Repeat(-1, problem.Processes).ToArray();
        var groups = Enumerable.Range(0, problem.Processes).OrderByDescending(process => speeds[process]).ThenBy(Home).ThenBy(process => process).Take(shape.Ranks).Chunk(shape.Data * shape.Tensor);
        foreach (var (stage, group) in groups.OrderBy(group => group.Average(Home)).Index())
            foreach (var process in group) stages[process] = stage;
        return stages;
    }

    private static IReadOnlyList<double> SpeedsOf(ReshapeProblem problem, ParallelShape shape, IReadOnlyList<int>? stages) =>
        [.. Enumerable.Range(0, shape.Pipeline).Select(stage => stages is null || problem.Speeds is not { } speeds ? 1 : speeds.Where((_, process) => stages[process] == stage).DefaultIfEmpty(1).Min())];

    // Ties go to the shape that differs least in its stages, since fewest layers move then, and to the one that needs fewest ranks.
    private static bool IsBetter(Reshape one, Reshape other, ParallelShape wanted)
    {
        if (Math.Abs(one.StepSeconds - other.StepSeconds) > Tolerance * other.StepSeconds) return one.StepSeconds < other.StepSeconds;
        var (near, far) = (Math.Abs(one.Shape.Pipeline - wanted.Pipeline), Math.Abs(other.Shape.Pipeline - wanted.Pipeline));
        return near != far ? near < far : one.Shape.Ranks < other.Shape.Ranks;
    }

    private static long Kept(LayerNeed layer, ParallelShape shape) => shape.Zero switch
    {
        0 => layer.ModelBytes + layer.OptimizerBytes,
        3 => (layer.ModelBytes + layer.OptimizerBytes) / shape.Data,
        _ => layer.ModelBytes + layer.OptimizerBytes / shape.Data,
    };

    private static int Share(ReshapeProblem problem, ParallelShape shape) => (problem.Rows + shape.Data - 1) / shape.Data;

    private static int Piece(ReshapeProblem problem, ParallelShape shape) => Math.Max(1, Math.Min(problem.MicroRows, Share(problem, shape)));

    /// <summary>The data rank with most rows sets the pace; a last micro-batch that is smaller counts as the part that it is.</summary>
    private static double Seconds(ReshapeProblem problem, ParallelShape shape, StagePartition cut, IReadOnlyList<double> speeds)
    {
        var piece = Piece(problem, shape);
        var stages = Enumerable.Range(0, cut.Stages).Select(stage => piece * Enumerable.Range(cut.First(stage), cut.Ends[stage] - cut.First(stage)).Sum(layer => problem.Layers[layer].Seconds) / speeds[stage]).ToList();
        return stages.Sum() + ((double)Share(problem, shape) / piece - 1) * stages.Max();
    }
}
