using Perennial.Core;
using Perennial.Core.Recipes;

namespace Perennial.Experiments.Papers;

/// <summary>Reads <c>paper.yaml</c> and makes recipes of it.</summary>
public static class PaperFile
{
    /// <summary>Reads a paper's comparison. Errors name file, line and column.</summary>
    /// <exception cref="PerennialException">Exit 2.</exception>
    public static Paper Load(string path, RecipeBinder binder)
    {
        ArgumentNullException.ThrowIfNull(binder);
        var paper = binder.Bind<Paper>(RecipeDocument.Load(path));
        return paper with { Recipe = paper.Recipe is null ? null : Path.Combine(Path.GetDirectoryName(path) ?? ".", paper.Recipe) };
    }

    /// <summary>What all runs start from: the recipe (empty when there is none) and, under its own key, the experiment.</summary>
    /// <exception cref="PerennialException">Exit 2: the recipe cannot be read.</exception>
    public static RecipeNode Base(Paper paper)
    {
        ArgumentNullException.ThrowIfNull(paper);
        var recipe = paper.Recipe is null ? new RecipeMapping(paper.Experiment!.Location, []) : RecipeDocument.Load(paper.Recipe);
        return paper.Experiment is null ? recipe : recipe.With(Measured.ExperimentTrialRunner.Key, paper.Experiment);
    }

    /// <summary>The recipe of one run: the base, changed by the tier, the arm, the tuned value and the seed, in this order.</summary>
    /// <param name="recipe">The base recipe.</param>
    /// <param name="tier">The size.</param>
    /// <param name="arm">The arm.</param>
    /// <param name="tuned">The tuned key and value; null for none.</param>
    /// <param name="seed">The seed.</param>
    public static RecipeNode Compose(RecipeNode recipe, Tier tier, Arm arm, (string Key, RecipeNode Value)? tuned, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(tier);
        ArgumentNullException.ThrowIfNull(arm);
        foreach (var (key, value) in tier.Set.Concat(arm.Set)) recipe = recipe.With(key, value);
        if (tuned is { } found) recipe = recipe.With(found.Key, found.Value);
        return recipe.With("seed", seed.ToString());
    }
}
