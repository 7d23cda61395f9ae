using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Experiments.Papers;

/// <summary>What all arms have in common, and is checked after the runs.</summary>
public enum BudgetKind
{
    /// <summary>Every run sees the same number of tokens.</summary>
    EqualTokens,

    /// <summary>Every run spends the same number of floating-point operations, within 1 %.</summary>
    EqualCompute,

    /// <summary>What the sizes and arms state; nothing is compared.</summary>
    AsStated,
}

/// <summary>
/// How much is spent. Wall-clock time never changes a number silently: a budget in minutes picks the largest tier that is written
/// down for it, and the same tier gives the same numbers on any machine of the same kind.
/// </summary>
public sealed record Budget : IValidatedOptions
{
    /// <summary>What is equal between arms.</summary>
    public BudgetKind Kind { get; init; } = BudgetKind.EqualTokens;

    /// <summary>Minutes of the tier that runs when nobody names a budget.</summary>
    public required double Default { get; init; }

    /// <summary>The first seed; further ones count up.</summary>
    public ulong FirstSeed { get; init; } = 1;

    /// <summary>The sizes at which the comparison is defined, smallest first.</summary>
    [MinLength(1)]
    public required IReadOnlyList<Tier> Tiers { get; init; }

    /// <summary>The tier for a budget.</summary>
    /// <param name="minutes">What may be spent; null for the default.</param>
    /// <exception cref="PerennialException">Exit 2: less than the smallest tier.</exception>
    public Tier Choose(double? minutes)
    {
        var wanted = minutes ?? Default;
        return Tiers.LastOrDefault(tier => tier.Minutes <= wanted)
            ?? throw PerennialException.Usage($"--budget {wanted:0.##}: the smallest size at which this comparison means something takes about {Tiers[0].Minutes:0.##} minutes; sizes: {string.Join(", ", Tiers.Select(tier => $"{tier.Minutes:0.##}"))}");
    }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Tiers.Zip(Tiers.Skip(1)).Any(pair => pair.First.Minutes >= pair.Second.Minutes)) yield return ("tiers", "must rise in minutes");
        if (Tiers.All(tier => tier.Minutes > Default)) yield return ("default", "must be at least the smallest tier's minutes");
    }
}

/// <summary>One size of the comparison.</summary>
public sealed record Tier
{
    /// <summary>About how long it takes on two cores.</summary>
    [Range(0.0, 100_000.0)]
    public required double Minutes { get; init; }

    /// <summary>Seeds, unless the command line says otherwise.</summary>
    [Range(1, 1000)]
    public required int Seeds { get; init; }

    /// <summary>What it changes of the base recipe: dotted keys and their values.</summary>
    public IReadOnlyDictionary<string, Core.Recipes.RecipeNode> Set { get; init; } = new Dictionary<string, Core.Recipes.RecipeNode>();

    /// <summary>Its folder's name.</summary>
    public string Name => $"{Minutes:0.##}-minutes";
}
