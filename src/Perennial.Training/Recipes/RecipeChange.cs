using Perennial.Core.Recipes;

namespace Perennial.Training.Recipes;

/// <summary>One difference between a run's recipe and the one it is asked to go on with.</summary>
/// <param name="Key">Dotted key.</param>
/// <param name="Before">What the run has; null when the key is new.</param>
/// <param name="After">What is asked for; null when the key is gone.</param>
public sealed record RecipeChange(string Key, string? Before, string? After)
{
    // What is seen, how often it is saved, how processes share the work (and how many threads that leaves each), and how long the run is may change in flight. A longer run goes on
    // as its schedule knows how (RunExtension), and a run that a spike stopped needs another policy to go on; everything else would make the run's past and future two different experiments.
    private static readonly string[] Free = ["name", "evaluation", "resilience", "data.cache", "training.tokens", "training.steps", "training.on-spike", "parallel", "training.threads"];

    /// <summary>Whether the change may be made in flight.</summary>
    public bool IsAllowed => Free.Any(free => Key == free || Key.StartsWith(free + ".", StringComparison.Ordinal));

    /// <summary>All differences between two resolved recipes, by key.</summary>
    public static IReadOnlyList<RecipeChange> Between(Recipe before, Recipe after)
    {
        var (old, asked) = (RecipeWriter.Flatten(before), RecipeWriter.Flatten(after));
        return [.. old.Keys.Union(asked.Keys).Order(StringComparer.Ordinal)
            .Select(key => new RecipeChange(key, old.GetValueOrDefault(key), asked.GetValueOrDefault(key)))
            .Where(change => change.Before != change.After)];
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Key}: {Before ?? "(none)"} → {After ?? "(none)"}";
}
