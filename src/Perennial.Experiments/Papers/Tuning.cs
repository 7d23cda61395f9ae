using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Experiments.Papers;

/// <summary>A search over one key: once on one arm and then fixed for all, or on each arm for itself. It is part of the run and of its report.</summary>
public sealed record Tuning
{
    /// <summary>The dotted recipe key.</summary>
    public required string Key { get; init; }

    /// <summary>Values tried.</summary>
    [MinLength(2)]
    public required IReadOnlyList<Core.Recipes.RecipeNode> Values { get; init; }

    /// <summary>In the place of an arm: every arm is searched by the same values and seeds, and gets its own best one.</summary>
    public const string Each = "each";

    /// <summary>The arm it is tuned on: the baseline, so that the search never favours the claim; or <c>each</c>.</summary>
    public required string Arm { get; init; }

    /// <summary>The arms it is tuned on.</summary>
    public IEnumerable<Arm> On(IEnumerable<Arm> arms) => arms.Where(arm => Arm == Each || arm.Name == Arm);

    /// <summary>Which of its weights are judged.</summary>
    public string Weights { get; init; } = Cell.Raw;

    /// <summary>Seeds a value is tried with; the lowest mean wins, the earlier value on a tie.</summary>
    [Range(1, 100)]
    public int Seeds { get; init; } = 1;
}
