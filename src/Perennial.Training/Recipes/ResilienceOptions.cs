using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Training.Recipes;

/// <summary>The recipe's <c>resilience:</c>.</summary>
public sealed record ResilienceOptions
{
    /// <summary>How often the state is copied in memory: under <c>launch</c> into a manager that outlives the trainers, and for <c>on-spike: { action: roll-back }</c> to go back to.</summary>
    public RunLength Snapshot { get; init; } = new(1, RunUnit.Steps);

    /// <summary>How often a checkpoint is written beside the training.</summary>
    public RunLength Checkpoint { get; init; } = new(100, RunUnit.Steps);

    /// <summary>How many of the newest checkpoints stay.</summary>
    [Range(1, 1_000_000)]
    public int Keep { get; init; } = 3;
}
