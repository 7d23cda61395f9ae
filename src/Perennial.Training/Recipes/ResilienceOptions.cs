using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Training.Parallel.Policies;

namespace Perennial.Training.Recipes;

/// <summary>How rows are shared among processes of different speeds.</summary>
public enum BalanceChoice
{
    /// <summary><see cref="Measured"/> where sums are exact, so that no bit depends on it; else <see cref="Even"/>.</summary>
    Auto,

    /// <summary>By the speed that each process showed.</summary>
    Measured,

    /// <summary>Evenly.</summary>
    Even,
}

/// <summary>The recipe's <c>resilience:</c>.</summary>
public sealed record ResilienceOptions
{
    /// <summary>How often the state is copied in memory: under <c>launch</c> into a manager that outlives the trainers, and for <c>on-spike: { action: roll-back }</c> to go back to.</summary>
    public RunLength Snapshot { get; init; } = new(1, RunUnit.Steps);

    /// <summary>What is done about lost processes.</summary>
    public ComponentSpec<ILossPolicy> Policy { get; init; } = new("elastic", typeof(ElasticPolicy), null);

    /// <summary>Whether slower processes get fewer rows.</summary>
    public BalanceChoice Balance { get; init; } = BalanceChoice.Auto;

    /// <summary>How often a checkpoint is written beside the training.</summary>
    public RunLength Checkpoint { get; init; } = new(100, RunUnit.Steps);

    /// <summary>How many of the newest checkpoints stay.</summary>
    [Range(1, 1_000_000)]
    public int Keep { get; init; } = 3;
}
