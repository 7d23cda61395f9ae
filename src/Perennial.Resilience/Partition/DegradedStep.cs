namespace Perennial.Resilience.Partition;

/// <summary>How a step runs after losses.</summary>
/// <param name="Seconds">Step time, for the same global batch.</param>
/// <param name="Way">In words: what was done with the work of the lost ranks.</param>
/// <param name="Partition">The cut that is used.</param>
/// <param name="Migration">Layers that move to get there.</param>
public sealed record DegradedStep(double Seconds, string Way, StagePartition Partition, MigrationPlan Migration);

/// <summary>
/// The steady state after losses under the ways of going on that paper 23 compares (§1, §2, "Small-scale reproduction" 4). The global batch is the
/// same for all, so step times compare. Null where a way cannot go on.
/// </summary>
public static class DegradedSteps
{
    /// <summary>Restart on the survivors, packed anew into D' = ⌊live / P⌋ whole paths, each with M' = ⌈M·D/D'⌉ micro-batches.</summary>
    public static DegradedStep? Repack(PipelineShape shape, Occupancy who)
    {
        ArgumentNullException.ThrowIfNull(who);
        // Packed paths mix ranks of all stages: the slowest of all sets the pace everywhere.
        return OnPaths(shape, who.Live / Checked(shape).Stages, [.. who.Stages.Select(_ => who.Stages.Min(stage => stage.Slowest))], "packed into {0} paths");
    }

    /// <summary>Drop every path that lost a rank (as TorchFT does): D' whole paths, M' = ⌈M·D/D'⌉; their healthy ranks idle.</summary>
    public static DegradedStep? DropReplica(PipelineShape shape, Occupancy who)
    {
        ArgumentNullException.ThrowIfNull(who);
        return OnPaths(Checked(shape), who.WholePaths, [.. who.Stages.Select(stage => stage.Slowest)], "{0} paths left");
    }

    /// <summary>Give whole micro-batches of lost ranks to their stage's survivors (as ReCycle does): ⌈M·D/D_p⌉ slots in the worst stage.</summary>
    public static DegradedStep? Reroute(PipelineShape shape, Occupancy who)
    {
        ArgumentNullException.ThrowIfNull(who);
        return OnPaths(Checked(shape), who.Stages.Min(stage => stage.Count), [.. who.Stages.Select(stage => stage.Slowest)], "micro-batches rerouted, {1} slots");
    }

    /// <summary>Split every wave over the stage's survivors by speed; M stays: t_p grows by max b_i/v_i over b.</summary>
    public static DegradedStep? Resize(PipelineShape shape, Occupancy who)
    {
        ArgumentNullException.ThrowIfNull(who);
        if (who.Stages.Any(stage => stage.Count == 0)) return null;
        return WithPartition(Checked(shape), who, shape.Partition, "waves resized");
    }

    /// <summary>Resize, and move layers from slow stages to fast ones by <see cref="MinimaxPartition"/>.</summary>
    public static DegradedStep? ResizeAndMove(PipelineShape shape, Occupancy who)
    {
        ArgumentNullException.ThrowIfNull(who);
        if (who.Stages.Any(stage => stage.Count == 0)) return null;
        var problem = new PartitionProblem(Checked(shape).Layers, who.Stages, shape.Paths * shape.Samples);
        return MinimaxPartition.Find(problem, shape.Partition) is { } partition ? WithPartition(shape, who, partition, $"waves resized, layers {partition}") : null;
    }

    /// <summary>
    /// The best of resizing (with and without moving layers), rerouting and dropping. Resizing alone is not always best: where b is small and D large,
    /// one sample more in a wave costs 1/b, while one slot more costs 1/M.
    /// </summary>
    public static DegradedStep? Elastic(PipelineShape shape, Occupancy who)
    {
        var plain = new[] { Resize(shape, who), Reroute(shape, who), DropReplica(shape, who) }.OfType<DegradedStep>().MinBy(step => step.Seconds);
        if (who.Stages.Any(stage => stage.Count == 0) || (plain is not null && plain.Seconds <= LeastWithMoves(shape, who) * (1 + 1e-9))) return plain;
        return ResizeAndMove(shape, who) is { } moved && !(plain?.Seconds <= moved.Seconds) ? moved : plain;
    }

    // What no cut can be faster than: stages levelled to the last fraction of a layer. Spares the search where it cannot win.
    private static double LeastWithMoves(PipelineShape shape, Occupancy who)
    {
        var lengths = who.Stages.Select(stage => stage.Slot(shape.Paths * shape.Samples).Length).ToList();
        var work = shape.Layers.Sum(layer => layer.Seconds);
        return work * lengths.Min() + (shape.Waves - 1) * work / lengths.Sum(length => 1 / length) + shape.StepOverheadSeconds;
    }

    private static DegradedStep? OnPaths(PipelineShape shape, int paths, IReadOnlyList<double> slowest, string way)
    {
        if (paths < 1) return null;
        var waves = ((long)shape.Waves * shape.Paths + paths - 1) / paths;
        return new(shape.StepSeconds(shape.Partition, [.. slowest.Select(speed => shape.Samples / speed)], waves),
            string.Format(System.Globalization.CultureInfo.InvariantCulture, way, paths, waves), shape.Partition, new([]));
    }

    private static DegradedStep WithPartition(PipelineShape shape, Occupancy who, StagePartition partition, string way) =>
        new(shape.StepSeconds(partition, [.. who.Stages.Select(stage => stage.Slot(shape.Paths * shape.Samples).Length)], shape.Waves), way, partition,
            MigrationPlan.Between(shape.Partition, partition, shape.Layers));

    private static PipelineShape Checked(PipelineShape shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        if (shape.Partition.Layers != shape.Layers.Count) throw new ArgumentException($"the cut {shape.Partition} is not of {shape.Layers.Count} layers");
        return shape;
    }
}
