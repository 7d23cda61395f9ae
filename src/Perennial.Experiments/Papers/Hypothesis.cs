using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Experiments.Papers;

/// <summary>Something that follows from the paper's claim and can fail.</summary>
public sealed record Hypothesis
{
    /// <summary>Short name: <c>a</c>, <c>b</c> …</summary>
    public required string Id { get; init; }

    /// <summary>The sentence that the conditions make precise.</summary>
    public required string Statement { get; init; }

    /// <summary>Whether the paper's claim is refuted here when this fails.</summary>
    public bool Decides { get; init; }

    /// <summary>It holds when every one of these does.</summary>
    [MinLength(1)]
    public required IReadOnlyList<Condition> Conditions { get; init; }
}

/// <summary>
/// A threshold on a weighted sum of cells, taken seed by seed (so that what a seed shares between arms cancels); or the claim that
/// the cell of lowest mean is one of a list.
/// </summary>
public sealed record Condition : IValidatedOptions
{
    /// <summary>In a contrast: whichever cell has the lowest mean.</summary>
    public const string Lowest = "lowest";

    /// <summary>Cell → weight: <c>{ ascending-constant: 1, shuffled-constant: -1 }</c> is a difference. Empty with <c>lowest-in</c>.</summary>
    public IReadOnlyDictionary<string, double> Contrast { get; init; } = new Dictionary<string, double>();

    /// <summary>The mean of the contrast must not be above this.</summary>
    public double? AtMost { get; init; }

    /// <summary>The mean of the contrast must not be below this.</summary>
    public double? AtLeast { get; init; }

    /// <summary>The share of seeds whose own contrast must meet the threshold too, rounded up: 0.8 asks 4 of 5, and 3 of 3; 0 asks none.</summary>
    [Range(0.0, 1.0)]
    public double Seeds { get; init; }

    /// <summary>The cell of lowest mean among all cells must be one of these.</summary>
    public IReadOnlyList<string> LowestIn { get; init; } = [];

    /// <summary>Seeds that must meet the threshold, of <paramref name="count"/>.</summary>
    public int Needed(int count) => (int)Math.Ceiling(Seeds * count - 1e-9);

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (LowestIn.Count > 0)
        {
            if (Contrast.Count > 0 || AtMost is not null || AtLeast is not null || Seeds > 0) yield return ("lowest-in", "stands alone, without contrast, threshold or seeds");
            yield break;
        }
        if (Contrast.Count == 0) yield return ("contrast", "is needed: cells and their weights (or use lowest-in)");
        if (AtMost is null == AtLeast is null) yield return ("contrast", "needs exactly one of at-most and at-least");
    }
}
