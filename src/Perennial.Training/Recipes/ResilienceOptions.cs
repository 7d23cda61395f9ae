using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Resilience.Snapshots;
using Perennial.Training.Parallel.Policies;

namespace Perennial.Training.Recipes;

/// <summary>How work is shared among processes of different speeds: rows among replicas, layers among the stages of a parallel shape.</summary>
public enum BalanceChoice
{
    /// <summary><see cref="Measured"/> where sums are exact, so that no bit depends on it, and whenever a parallel shape changes anyway; else <see cref="Even"/>.</summary>
    Auto,

    /// <summary>By the speed that each process showed; under a parallel shape layers also move without a loss, when a process stays slow.</summary>
    Measured,

    /// <summary>Evenly.</summary>
    Even,
}

/// <summary>The recipe's <c>resilience:</c>.</summary>
public sealed record ResilienceOptions : IValidatedOptions
{
    /// <summary>How often the state is copied in memory: under <c>launch</c> into managers that outlive the trainers, and for <c>on-spike: { action: roll-back }</c> to go back to. <c>auto</c>: from what a copy is measured to cost and the stated failures.</summary>
    public SavingInterval Snapshot { get; init; } = SavingInterval.Steps(1);

    /// <summary>How nodes protect each other's snapshots: <c>none</c>, <c>xor</c> (one node of a group may be lost), <c>rs(k+m)</c> (any m of k + m), or <c>auto</c>: from the number of nodes and <c>node-failures</c>.</summary>
    public string Parity { get; init; } = "auto";

    /// <summary>Nodes lost a day and node, for everything that is <c>auto</c>. The default is what a run of 2,048 nodes saw (466 interruptions in 54 days).</summary>
    [Range(0, 1000)]
    public double NodeFailures { get; init; } = 0.0042;

    /// <summary>Processes lost a day and node while the node lives, for <c>snapshot: auto</c> and <c>checkpoint: auto</c>. The default is one in ten days.</summary>
    [Range(0, 100_000)]
    public double WorkerFailures { get; init; } = 0.1;

    /// <summary>What is done about lost processes.</summary>
    public ComponentSpec<ILossPolicy> Policy { get; init; } = new("elastic", typeof(ElasticPolicy), null);

    /// <summary>Whether slower processes get fewer rows, or under a parallel shape fewer layers.</summary>
    public BalanceChoice Balance { get; init; } = BalanceChoice.Auto;

    /// <summary>How often a checkpoint is written beside the training. <c>auto</c>: from what one is measured to cost and the stated failures.</summary>
    public SavingInterval Checkpoint { get; init; } = SavingInterval.Steps(100);

    /// <summary>How many of the newest checkpoints stay.</summary>
    [Range(1, 1_000_000)]
    public int Keep { get; init; } = 3;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Parity != "auto" && ParityChoice.Parse(Parity) is null) yield return ("parity", $"must be none, xor, rs(k+m) such as rs(4+2), or auto; found '{Parity}'");
    }
}
