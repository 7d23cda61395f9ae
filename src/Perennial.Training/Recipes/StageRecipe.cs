using Perennial.Core;
using Perennial.Data;

namespace Perennial.Training.Recipes;

/// <summary>A stage with everything that it takes over from its recipe filled in. A recipe without stages is one stage without a name.</summary>
/// <param name="Name">Its name; empty for the only stage of a recipe without stages.</param>
/// <param name="Recipe">The recipe as this stage has it. Its sources are all sources of the run, those of other stages without weight.</param>
/// <param name="Rate">Peak learning rate; null for the optimizer's.</param>
/// <param name="Moments">What becomes of the optimizer's moments.</param>
/// <param name="Branch">Whether its end is left again.</param>
/// <param name="From">The checkpoint that it is taken over from; null where it is trained.</param>
public sealed record StageRecipe(string Name, Recipe Recipe, double? Rate, MomentRule Moments, bool Branch, string? From)
{
    /// <summary>The stages of a recipe, at least one.</summary>
    /// <exception cref="PerennialException">Exit 2: names or branches do not go together.</exception>
    public static IReadOnlyList<StageRecipe> Of(Recipe recipe)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        if (recipe.Stages.Count == 0) return [new("", recipe, null, MomentRule.Keep, false, null)];
        foreach (var twice in recipe.Stages.GroupBy(stage => stage.Name).Where(group => group.Count() > 1)) throw PerennialException.Usage($"stages: '{twice.Key}' is there twice; give every stage a name of its own");
        if (recipe.Stages[0].Branch) throw PerennialException.Usage($"stages: '{recipe.Stages[0].Name}' cannot be a branch, there is no state before it to go back to");
        if (recipe.Stages.Skip(1).FirstOrDefault(stage => stage.From is not null) is { } late) throw PerennialException.Usage($"stages: '{late.Name}' cannot be taken over from {late.From}, only the first stage can");
        if (recipe.Stages is [{ From: not null }]) throw PerennialException.Usage("stages: a stage that is taken over needs another after it");
        var sources = AllSources(recipe);
        return [.. recipe.Stages.Select(stage => new StageRecipe(stage.Name, Fill(recipe, stage, sources), stage.Rate, stage.Moments, stage.Branch, stage.From))];
    }

    /// <summary>Every source of a recipe and its stages once, in the order they are named: the run's sources. Their number is part of a sample's identity.</summary>
    public static IReadOnlyList<SourceOptions> AllSources(Recipe recipe)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        return [.. recipe.Data.Sources.Concat(recipe.Stages.SelectMany(stage => stage.Data?.Sources ?? [])).DistinctBy(Identity)];
    }

    /// <summary>The recipe with every stage's sources at the stage and all of them at <c>data.sources</c>: what prepares the data need not know of stages.</summary>
    public static Recipe Spelled(Recipe recipe)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        if (recipe.Stages.Count == 0) return recipe;
        return recipe with
        {
            Data = recipe.Data with { Sources = AllSources(recipe) },
            Stages = [.. recipe.Stages.Select(stage => stage with { Data = (stage.Data ?? new StageDataOptions()) with { Sources = stage.Data?.Sources ?? recipe.Data.Sources } })],
        };
    }

    private static Recipe Fill(Recipe recipe, StageOptions stage, IReadOnlyList<SourceOptions> all)
    {
        var own = (stage.Data?.Sources ?? recipe.Data.Sources).GroupBy(Identity).ToDictionary(group => group.Key, group => group.Sum(source => source.Weight));
        return recipe with
        {
            Data = recipe.Data with { Sources = [.. all.Select(source => source with { Weight = own.GetValueOrDefault(Identity(source)) })], Order = stage.Data?.Order ?? recipe.Data.Order, Mixture = stage.Data?.Mixture ?? recipe.Data.Mixture },
            Schedule = stage.Schedule ?? recipe.Schedule,
            Objective = stage.Objective ?? recipe.Objective,
            Practices = stage.Practices ?? recipe.Practices,
            Training = stage.Tokens is null && stage.Steps is null ? recipe.Training : recipe.Training with { Tokens = stage.Tokens, Steps = stage.Steps },
            Stages = [],
        };
    }

    // What text a source gives; its share in a stage is the stage's affair.
    private static SourceOptions Identity(SourceOptions source) => source with { Weight = 1 };
}
