namespace Perennial.Resilience.Simulation;

/// <summary>Runs a simulation recipe. Same options, same report, on any machine.</summary>
public static class Simulator
{
    private const double MostCheckpointSeconds = 4 * 3_600;

    /// <summary>Every policy at every size, the cases and the attempts.</summary>
    /// <param name="options">The recipe.</param>
    /// <param name="cancellation">Stops between runs.</param>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static SimulationReport Run(SimulationOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        var jobs = options.Policies.SelectMany(policy => options.Accelerators.Select(count => (policy.Kind, Policy: policy.Create(), Accelerators: count.Value))).ToList();
        var outcomes = new JobOutcome[jobs.Count * options.Repetitions];
        Parallel.For(0, outcomes.Length, new ParallelOptions { CancellationToken = cancellation }, i =>
        {
            var job = jobs[i / options.Repetitions];
            outcomes[i] = Simulate(options, Setup(options, job.Policy, job.Accelerators), job.Accelerators, i % options.Repetitions);
        });
        var points = jobs.Select((job, i) => Point(options, job.Kind, job.Accelerators, Setup(options, job.Policy, job.Accelerators), outcomes.AsSpan(i * options.Repetitions, options.Repetitions).ToArray()));
        return new(options.Name, options.Seed, options.Days, options.Repetitions, [.. points], LossCases.Run(options), options.Attempts?.Result(options.Seed));
    }

    internal static JobSetup Setup(SimulationOptions options, IRecoveryPolicy policy, long accelerators)
    {
        var paths = (int)(accelerators / options.Cluster.PerNode / options.Job.Stages);
        var shape = options.Shape(paths);
        var between = options.Failures.AcceleratorHours <= 0 ? double.PositiveInfinity : options.Failures.AcceleratorHours * 3_600 / ((double)shape.Ranks * options.Cluster.PerNode);
        var interval = options.Protection.CheckpointMinutes > 0
            ? options.Protection.CheckpointMinutes * 60
            : Math.Min(MostCheckpointSeconds, Math.Sqrt(2 * options.Protection.CheckpointStallSeconds * SecondsToDiskRead(options, policy, shape.Ranks, between)));
        return new(options, shape, policy, (int)Math.Ceiling(options.Cluster.Spares * shape.Ranks), Math.Max(1, (long)Math.Round(interval / options.Job.StepSeconds)), between);
    }

    /// <summary>
    /// Mean time until a checkpoint is read: between faults for a policy that always reads it, else until more nodes of a parity group are gone than it
    /// survives, within the time to the next snapshot: μ^m / (G·λ^(m+1)·n(n−1)…(n−m)) (paper 02 §6). Replicas are taken to live for ever.
    /// </summary>
    internal static double SecondsToDiskRead(SimulationOptions options, IRecoveryPolicy policy, int ranks, double between)
    {
        if (policy.Source == StateSource.Checkpoint || double.IsPositiveInfinity(between)) return between;
        if (policy.Source == StateSource.Replica) return double.PositiveInfinity;
        var (n, m) = (options.Protection.ParityGroup, options.Protection.ParityLosses);
        var rate = (1 - options.Failures.Software) / (between * ranks);
        if (rate <= 0) return double.PositiveInfinity;
        var protectAgain = policy.Times.Sum(ranks) + options.Protection.SnapshotEverySteps * options.Job.StepSeconds;
        var loss = (double)ranks / n * rate * n;
        for (var i = 1; i <= m; i++) loss *= rate * (n - i) * protectAgain;
        return 1 / loss;
    }

    private static JobOutcome Simulate(SimulationOptions options, JobSetup setup, long accelerators, int repetition)
    {
        // Faults and recovery times have streams of their own, so that all policies begin with the same faults.
        var item = ((ulong)accelerators << 16 | (uint)repetition) << 1;
        var faults = new RandomFaults(options.Failures, options.Cluster.PerNode, setup.Shape.Ranks, new(options.Seed, item));
        return new JobRun(setup, faults, new(options.Seed, item | 1)).Run(options.Days * 86_400);
    }

    private static SimulationPoint Point(SimulationOptions options, string name, long accelerators, JobSetup setup, IReadOnlyList<JobOutcome> runs)
    {
        var seconds = options.Days * 86_400;
        var goodputs = runs.Select(run => run.Shares.Useful / seconds).ToList();
        var mean = goodputs.Average();
        var error = runs.Count < 2 ? 0 : Math.Sqrt(goodputs.Sum(value => (value - mean) * (value - mean)) / (runs.Count - 1) / runs.Count);
        var incidents = runs.SelectMany(run => run.Incidents).ToList();
        return new(name, accelerators, (long)setup.Shape.Ranks * options.Cluster.PerNode, mean, error,
            runs.Aggregate(new TimeShares(0, 0, 0, 0, 0), (sum, run) => sum + run.Shares.Scaled(1 / seconds / runs.Count)),
            runs.Average(run => (double)run.Steps) * setup.Shape.GlobalBatch * options.Job.Context,
            runs.Average(run => (double)run.Faults), (double)incidents.Count / runs.Count, incidents.Count == 0 ? 0 : (double)incidents.Count(incident => incident.FromDisk) / incidents.Count,
            RecoveryQuantiles.Of([.. incidents.Select(incident => incident.Seconds)]), incidents.Count == 0 ? 0 : incidents.Average(incident => incident.LostSeconds),
            setup.CheckpointEvery * options.Job.StepSeconds);
    }
}
