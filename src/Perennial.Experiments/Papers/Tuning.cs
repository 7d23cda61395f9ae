using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Experiments.Papers;

/// <summary>A search over one key, done once on one arm and then fixed for all. It is part of the run and of its report.</summary>
public sealed record Tuning
{
    /// <summary>The dotted recipe key.</summary>
    public required string Key { get; init; }

    /// <summary>Values tried.</summary>
    [MinLength(2)]
    public required IReadOnlyList<Core.Recipes.RecipeNode> Values { get; init; }

    /// <summary>The arm it is tuned on: the baseline, so that the search never favours the claim.</summary>
    public required string Arm { get; init; }

    /// <summary>Which of its weights are judged.</summary>
    public string Weights { get; init; } = Cell.Raw;

    /// <summary>Seeds a value is tried with; the lowest mean wins, the earlier value on a tie.</summary>
    [Range(1, 100)]
    public int Seeds { get; init; } = 1;
}
