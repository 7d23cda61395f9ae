using Perennial.Core.Recipes;

namespace Perennial.Training.Recipes;

/// <summary>From a recipe file to a bound, validated <see cref="Recipe"/>.</summary>
/// <param name="components">Components that recipes may name.</param>
public sealed class RecipeLoader(ComponentRegistry components)
{
    /// <summary>Reads a recipe file and applies overrides.</summary>
    /// <param name="path">The file.</param>
    /// <param name="overrides"><c>key.path=value</c>.</param>
    /// <exception cref="Core.PerennialException">Exit 2: the recipe is wrong, said with its place.</exception>
    public Recipe Load(string path, IEnumerable<string>? overrides = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        // A mistyped option is taken for the recipe by the command line's parser.
        if (path.StartsWith("--", StringComparison.Ordinal)) throw Core.PerennialException.Usage($"unknown option '{path}'; see --help");
        return Bind(RecipeDocument.Load(path), overrides);
    }

    /// <summary>Reads a recipe from text.</summary>
    /// <param name="yaml">YAML.</param>
    /// <param name="name">What errors call the source.</param>
    /// <param name="overrides"><c>key.path=value</c>.</param>
    /// <exception cref="Core.PerennialException">Exit 2: the recipe is wrong, said with its place.</exception>
    public Recipe Parse(string yaml, string name, IEnumerable<string>? overrides = null) => Bind(RecipeDocument.Parse(yaml, name), overrides);

    /// <summary>Binds a parsed recipe.</summary>
    /// <exception cref="Core.PerennialException">Exit 2: the recipe is wrong, said with its place.</exception>
    public Recipe Bind(RecipeNode node, IEnumerable<string>? overrides = null)
    {
        ArgumentNullException.ThrowIfNull(node);
        foreach (var assignment in overrides ?? []) node = node.With(assignment);
        // Tasks live above this project, so their default is a word, not a value.
        if (node is RecipeMapping root && (root["evaluation"] is null || root["evaluation"] is RecipeMapping evaluation && evaluation["tasks"] is null)) node = node.With("evaluation.tasks", "[bits-per-byte]");
        // A recipe whose stages bring their text need not name it twice: the first stage's is the recipe's own.
        if (node is RecipeMapping { } recipe && recipe["stages"] is RecipeSequence { Items: [RecipeMapping first, ..] } && (recipe["data"] as RecipeMapping)?["sources"] is null
            && (first["data"] as RecipeMapping)?["sources"] is { } sources) node = node.With("data.sources", sources);
        var bound = new RecipeBinder(components).Bind<Recipe>(node);
        _ = StageRecipe.Of(bound);
        return StageRecipe.Spelled(bound);
    }
}
