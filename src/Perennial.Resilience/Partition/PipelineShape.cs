namespace Perennial.Resilience.Partition;

/// <summary>A whole pipeline-and-data-parallel run: D paths of P stages, M waves of D·b samples a step.</summary>
/// <param name="Paths">D.</param>
/// <param name="Waves">M, micro-batches per path and step.</param>
/// <param name="Samples">b, samples of a micro-batch.</param>
/// <param name="Layers">Layer costs.</param>
/// <param name="Partition">The cut in use; its stages are P.</param>
public sealed record PipelineShape(int Paths, int Waves, int Samples, IReadOnlyList<LayerCost> Layers, StagePartition Partition)
{
    /// <summary>Memory of a rank for state and activations, in bytes; null for no limit.</summary>
    public long? CapacityBytes { get; init; }

    /// <summary>Seconds of a step that no stage explains: gradient reduction, optimizer.</summary>
    public double StepOverheadSeconds { get; init; }

    /// <summary>P.</summary>
    public int Stages => Partition.Stages;

    /// <summary>Ranks in all.</summary>
    public int Ranks => Paths * Stages;

    /// <summary>G = D·M·b, the global batch, which no loss changes.</summary>
    public long GlobalBatch => (long)Paths * Waves * Samples;

    /// <summary>Step seconds with all ranks at nominal speed.</summary>
    public double WholeStepSeconds => StepSeconds(Partition, [.. Enumerable.Repeat((double)Samples, Stages)], Waves);

    /// <summary>T = Σ t_p + (M−1)·max t_p and the overhead, with t_p = Σ c_l · length_p.</summary>
    /// <param name="partition">The cut.</param>
    /// <param name="lengths">How long each stage works on a wave, in nominal samples.</param>
    /// <param name="waves">M.</param>
    public double StepSeconds(StagePartition partition, IReadOnlyList<double> lengths, long waves)
    {
        ArgumentNullException.ThrowIfNull(partition);
        ArgumentNullException.ThrowIfNull(lengths);
        var stages = new double[partition.Stages];
        for (var stage = 0; stage < stages.Length; stage++)
        {
            for (var layer = partition.First(stage); layer < partition.Ends[stage]; layer++) stages[stage] += Layers[layer].Seconds;
            stages[stage] *= lengths[stage];
        }
        return PipelineClock.Formula(stages, waves) + StepOverheadSeconds;
    }
}

/// <summary>Who lives.</summary>
/// <param name="Stages">Live ranks of every stage.</param>
/// <param name="WholePaths">Paths without a loss.</param>
public sealed record Occupancy(IReadOnlyList<StageRanks> Stages, int WholePaths)
{
    /// <summary>Live ranks in all.</summary>
    public int Live => Stages.Sum(stage => stage.Count);

    /// <summary>The ranks of a shape without those lost.</summary>
    /// <param name="shape">The run.</param>
    /// <param name="lost">(path, stage) of every lost rank.</param>
    /// <exception cref="ArgumentException">A lost rank is not of the shape, or is named twice.</exception>
    public static Occupancy Without(PipelineShape shape, params IReadOnlyList<(int Path, int Stage)> lost)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(lost);
        if (lost.Any(rank => rank.Path < 0 || rank.Path >= shape.Paths || rank.Stage < 0 || rank.Stage >= shape.Stages) || lost.Distinct().Count() != lost.Count)
            throw new ArgumentException($"lost ranks {string.Join(" ", lost)} are not distinct ranks of {shape.Paths} paths and {shape.Stages} stages");
        return new(
            [.. Enumerable.Range(0, shape.Stages).Select(stage => new StageRanks(shape.Paths - lost.Count(rank => rank.Stage == stage)) { CapacityBytes = shape.CapacityBytes })],
            shape.Paths - lost.Select(rank => rank.Path).Distinct().Count());
    }

    /// <summary>The ranks of a shape without those lost, where some have speeds of their own.</summary>
    /// <param name="shape">The run.</param>
    /// <param name="lost">(path, stage) of every lost rank.</param>
    /// <param name="speeds">Speed factors by (path, stage); 1 where a rank is not named.</param>
    /// <exception cref="ArgumentException">A lost rank is not of the shape, or is named twice.</exception>
    public static Occupancy Without(PipelineShape shape, IReadOnlyList<(int Path, int Stage)> lost, IReadOnlyDictionary<(int Path, int Stage), double> speeds)
    {
        ArgumentNullException.ThrowIfNull(speeds);
        var who = Without(shape, lost);
        return speeds.Count == 0 ? who : who with { Stages = [.. who.Stages.Select((stage, number) => stage.Count == 0 ? stage : stage with { Speeds = [.. Living(number)] })] };

        IEnumerable<double> Living(int stage) => Enumerable.Range(0, shape.Paths).Where(path => !lost.Contains((path, stage))).Select(path => speeds.GetValueOrDefault((path, stage), 1));
    }
}
