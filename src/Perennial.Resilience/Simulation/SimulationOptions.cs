using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Resilience.Partition;

namespace Perennial.Resilience.Simulation;

/// <summary>
/// The recipe of <c>perennial simulate</c>: a cluster that fails, a job on it, and the policies to compare over a range of sizes. Optional parts:
/// <c>cases</c> (step time after given losses) and <c>attempts</c> (whether to stop runs that are predicted to fail).
/// </summary>
public sealed record SimulationOptions : IValidatedOptions
{
    /// <summary>Name of the study.</summary>
    public string Name { get; init; } = "simulation";

    /// <summary>Seed of every draw; all policies meet the same faults until their recoveries differ.</summary>
    public ulong Seed { get; init; } = 1337;

    /// <summary>Sizes of the cluster; each is a run of its own. Empty for none.</summary>
    public IReadOnlyList<Count> Accelerators { get; init; } = [100, 1_000, 10_000, 100_000, 1_000_000];

    /// <summary>Policies to compare.</summary>
    public IReadOnlyList<ComponentSpec<IRecoveryPolicy>> Policies { get; init; } =
    [
        new("restart", typeof(RestartRecovery), new RestartRecoveryOptions()),
        new("drop-replica", typeof(DropReplicaRecovery), new DropReplicaRecoveryOptions()),
        new("reroute", typeof(RerouteRecovery), new RerouteRecoveryOptions()),
        new("elastic", typeof(ElasticRecovery), new ElasticRecoveryOptions()),
    ];

    /// <summary>Days of wall-clock time that a run lasts.</summary>
    [Range(0.0, 36_500.0, MinimumIsExclusive = true)]
    public double Days { get; init; } = 30;

    /// <summary>Runs with different draws at every size.</summary>
    [Range(1, 10_000)]
    public int Repetitions { get; init; } = 3;

    /// <summary>Nodes, spares, repair, network.</summary>
    public ClusterOptions Cluster { get; init; } = new();

    /// <summary>Faults.</summary>
    public FailureOptions Failures { get; init; } = new();

    /// <summary>The job.</summary>
    public JobOptions Job { get; init; } = new();

    /// <summary>Snapshots, parity, checkpoints.</summary>
    public ProtectionOptions Protection { get; init; } = new();

    /// <summary>Step times after given losses; null for none.</summary>
    public LossCaseOptions? Cases { get; init; }

    /// <summary>Trial and error: makespans with and without a detector; null for none.</summary>
    public AttemptOptions? Attempts { get; init; }

    /// <summary>File of measured recoveries, relative to the recipe, whose phase times replace those of the policies; null for none.</summary>
    public string? Calibration { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        var least = (long)Job.Stages * Cluster.PerNode;
        if (Accelerators.FirstOrDefault(count => count.Value < least) is { Value: not 0 } small)
            yield return ("accelerators", $"has {small}; one path of {Job.Stages} stages on nodes of {Cluster.PerNode} needs {least}");
        if (Accelerators.Any(count => count.Value is <= 0 or > 100_000_000)) yield return ("accelerators", "must be from 1 to 100M each");
        if (Accelerators.Count > 0 && Policies.Count == 0) yield return ("policies", "needs at least one policy");
        if (Accelerators.Count == 0 && Cases is null && Attempts is null) yield return ("accelerators", "is empty, and there are no 'cases' or 'attempts': nothing to simulate");
        if (Cases is not null)
        {
            foreach (var problem in Cases.ProblemsFor(Job)) yield return ("cases", problem);
        }
    }

    /// <summary>The job's pipeline on D paths: relative layer costs scaled so that a whole step takes <see cref="JobOptions.StepSeconds"/>.</summary>
    public PipelineShape Shape(int paths)
    {
        var costs = Job.LayerCosts.Count > 0 ? Job.LayerCosts : [.. Enumerable.Repeat(1.0, Job.Layers)];
        // Two of the fourteen bytes of mixed-precision Adam are the weights that a forward needs.
        var state = Job.StateBytes.Value / costs.Count;
        var layers = costs.Select(cost => new LayerCost(cost, state, state / 7)).ToList();
        var even = new PartitionProblem(layers, [.. Enumerable.Repeat(new StageRanks(1), Job.Stages)], Job.Samples);
        var shape = new PipelineShape(paths, Job.Waves, Job.Samples, layers, MinimaxPartition.Find(even, StagePartition.Even(layers.Count, Job.Stages))!);
        var scale = Job.StepSeconds / shape.WholeStepSeconds;
        return shape with { Layers = [.. layers.Select(layer => layer with { Seconds = layer.Seconds * scale })] };
    }
}
