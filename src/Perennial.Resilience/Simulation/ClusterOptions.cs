using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Resilience.Simulation;

/// <summary>The machine: nodes that fail as one, and how long they are away. A node is one rank of the job.</summary>
public sealed record ClusterOptions
{
    /// <summary>Accelerators of a node.</summary>
    [Range(1, 1_024)]
    public int PerNode { get; init; } = 8;

    /// <summary>Spare nodes, as a share of the job's nodes, rounded up.</summary>
    [Range(0.0, 1.0)]
    public double Spares { get; init; } = 0.01;

    /// <summary>Seconds from calling a spare until it can join: start, load the program, dial.</summary>
    [Range(0.0, double.MaxValue)]
    public double SpareStartSeconds { get; init; } = 120;

    /// <summary>Seconds until a process that died on a healthy node can join again.</summary>
    [Range(0.0, double.MaxValue)]
    public double RespawnSeconds { get; init; } = 20;

    /// <summary>Mean hours until a broken node is back.</summary>
    [Range(0.0, double.MaxValue)]
    public double RepairHours { get; init; } = 12;

    /// <summary>Spread of the repair time: σ of its logarithm.</summary>
    [Range(0.0, 3.0)]
    public double RepairSpread { get; init; } = 0.5;

    /// <summary>Share of nodes that are slower than the others (a capped clock, a bad link); a node that comes in for a broken one is as likely to be.</summary>
    [Range(0.0, 1.0)]
    public double Slow { get; init; }

    /// <summary>Speed factor of such a node; the others have 1.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double SlowSpeed { get; init; } = 0.8;

    /// <summary>Bytes a second between two nodes.</summary>
    [Range(0.0, double.MaxValue, MinimumIsExclusive = true)]
    public double NetworkBytesPerSecond { get; init; } = 40e9;

    /// <summary>Bytes a second of the shared storage, for all nodes together.</summary>
    [Range(0.0, double.MaxValue, MinimumIsExclusive = true)]
    public double StorageBytesPerSecond { get; init; } = 200e9;
}

/// <summary>How often something fails.</summary>
public sealed record FailureOptions : IValidatedOptions
{
    /// <summary>Mean accelerator-hours between faults of any kind; 0 for none at all. A node of n accelerators fails n times as often.</summary>
    [Range(0.0, double.MaxValue)]
    public double AcceleratorHours { get; init; } = 50_000;

    /// <summary>Weibull shape of a node's life: 1 exponential, below 1 dies young, above 1 wears out. The mean stays.</summary>
    [Range(0.2, 10.0)]
    public double Shape { get; init; } = 1;

    /// <summary>Share of faults that kill the process but leave node and memory alone.</summary>
    [Range(0.0, 1.0)]
    public double Software { get; init; } = 0.4;

    /// <summary>Share of the other faults that take several neighbouring nodes (rack, switch, power).</summary>
    [Range(0.0, 1.0)]
    public double Correlated { get; init; } = 0.02;

    /// <summary>Nodes that such a fault takes.</summary>
    [Range(1, 10_000)]
    public int CorrelatedNodes { get; init; } = 4;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Correlated > 0 && CorrelatedNodes == 1) yield return ("correlated-nodes", "is 1, so 'correlated' would have no effect; set it to 0");
    }
}

/// <summary>What protects the training state, and what that costs.</summary>
public sealed record ProtectionOptions : IValidatedOptions
{
    /// <summary>Steps between snapshots in memory, taken by the policies that restore from them.</summary>
    [Range(1, 1_000_000)]
    public int SnapshotEverySteps { get; init; } = 1;

    /// <summary>Seconds that training waits for a snapshot.</summary>
    [Range(0.0, double.MaxValue)]
    public double SnapshotStallSeconds { get; init; } = 0.05;

    /// <summary>Nodes of a parity group, all of one stage.</summary>
    [Range(1, 255)]
    public int ParityGroup { get; init; } = 8;

    /// <summary>Losses that a group survives between two snapshots.</summary>
    [Range(0, 254)]
    public int ParityLosses { get; init; } = 1;

    /// <summary>Minutes between checkpoints on disk; 0 for the Young/Daly optimum of what they are for, at most four hours.</summary>
    [Range(0.0, double.MaxValue)]
    public double CheckpointMinutes { get; init; }

    /// <summary>Seconds that training waits for a checkpoint.</summary>
    [Range(0.0, double.MaxValue)]
    public double CheckpointStallSeconds { get; init; } = 5;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (ParityLosses >= ParityGroup) yield return ("parity-losses", $"is {ParityLosses} and must be below 'parity-group' ({ParityGroup})");
    }
}

/// <summary>The job: a pipeline of stages in as many data-parallel paths as the nodes give.</summary>
public sealed record JobOptions : IValidatedOptions
{
    /// <summary>P, pipeline stages; each is one node of a path (tensor parallelism inside).</summary>
    [Range(1, 1_000)]
    public int Stages { get; init; } = 4;

    /// <summary>M, micro-batches per path and step.</summary>
    [Range(1, 1_000_000)]
    public int Waves { get; init; } = 32;

    /// <summary>b, samples of a micro-batch.</summary>
    [Range(1, 1_000_000)]
    public int Samples { get; init; } = 4;

    /// <summary>Tokens of a sample.</summary>
    [Range(1, int.MaxValue)]
    public int Context { get; init; } = 4_096;

    /// <summary>Layers of equal cost; ignored when 'layer-costs' is given.</summary>
    [Range(1, 10_000)]
    public int Layers { get; init; } = 32;

    /// <summary>Relative cost of every layer, measured; embedding and head are layers too.</summary>
    public IReadOnlyList<double> LayerCosts { get; init; } = [];

    /// <summary>Seconds of a step with all ranks, without snapshots and checkpoints.</summary>
    [Range(0.0, double.MaxValue, MinimumIsExclusive = true)]
    public double StepSeconds { get; init; } = 10;

    /// <summary>Bytes of the whole training state (weights, master copy, moments), over all layers; suffixes such as 600B are fine.</summary>
    [Range(0, long.MaxValue)]
    public Count StateBytes { get; init; } = 600_000_000_000;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (LayerCosts.Any(cost => !(cost > 0))) yield return ("layer-costs", "must all be above 0");
        var layers = LayerCosts.Count > 0 ? LayerCosts.Count : Layers;
        if (layers < Stages) yield return (LayerCosts.Count > 0 ? "layer-costs" : "layers", $"are {layers}, too few for {Stages} stages");
    }
}
