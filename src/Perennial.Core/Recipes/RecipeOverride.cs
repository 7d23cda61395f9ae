namespace Perennial.Core.Recipes;

/// <summary>Applies <c>--set path=value</c> to a recipe.</summary>
public static class RecipeOverride
{
    /// <summary>The recipe with the value at a dotted path (<c>model.layers</c>, <c>data.sources.0.weight</c>) replaced or added.</summary>
    /// <param name="root">The recipe.</param>
    /// <param name="path">Keys and list positions, separated by dots.</param>
    /// <param name="value">The new value as YAML.</param>
    /// <exception cref="PerennialException">Exit 2: the path leads through a single value, or a list position does not exist.</exception>
    public static RecipeNode With(this RecipeNode root, string path, string value)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var name = $"--set {path}";
        var located = new RecipeLocation(name, 0, 0);
        var parsed = string.IsNullOrWhiteSpace(value) ? new RecipeScalar(located, null) : Relocate(RecipeDocument.Parse(value, name), located);
        return Replace(root, path.Split('.'), 0, parsed, located);
    }

    /// <summary>The recipe with the value at a dotted path replaced by a node that was written elsewhere; errors name where that was.</summary>
    /// <exception cref="PerennialException">Exit 2: the path leads through a single value, or a list position does not exist.</exception>
    public static RecipeNode With(this RecipeNode root, string path, RecipeNode value)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(value);
        return Replace(root, path.Split('.'), 0, value, value.Location);
    }

    /// <summary>Splits <c>path=value</c> and applies it.</summary>
    /// <exception cref="PerennialException">Exit 2: there is no <c>=</c>.</exception>
    public static RecipeNode With(this RecipeNode root, string assignment)
    {
        ArgumentNullException.ThrowIfNull(assignment);
        var split = assignment.IndexOf('=', StringComparison.Ordinal);
        if (split <= 0) throw PerennialException.Usage($"--set {assignment}: write it as key.path=value, for example --set model.layers=8");
        return root.With(assignment[..split].Trim(), assignment[(split + 1)..]);
    }

    private static RecipeNode Replace(RecipeNode? node, string[] path, int depth, RecipeNode value, RecipeLocation located)
    {
        if (depth == path.Length) return value;
        var key = path[depth];
        switch (node)
        {
            case null or RecipeScalar { Text: null }:
                return new RecipeMapping(located, [new RecipeEntry(key, located, Replace(null, path, depth + 1, value, located))]);
            case RecipeMapping mapping:
                var replaced = false;
                var entries = mapping.Entries.Select(entry =>
                {
                    if (entry.Key != key) return entry;
                    replaced = true;
                    return entry with { KeyLocation = located, Value = Replace(entry.Value, path, depth + 1, value, located) };
                }).ToList();
                if (!replaced) entries.Add(new RecipeEntry(key, located, Replace(null, path, depth + 1, value, located)));
                return mapping with { Entries = entries };
            case RecipeSequence sequence:
                if (!int.TryParse(key, out var index) || index < 0 || index > sequence.Items.Count)
                    throw PerennialException.Usage($"{located}: '{string.Join('.', path[..depth])}' is a list of {sequence.Items.Count}; '{key}' is not a position in it");
                var items = sequence.Items.ToList();
                var item = Replace(index < items.Count ? items[index] : null, path, depth + 1, value, located);
                if (index < items.Count) items[index] = item;
                else items.Add(item);
                return sequence with { Items = items };
            default:
                // A bare word where a component is chosen (optimizer: adamw) grows into { kind: adamw, key: value }.
                if (node is RecipeScalar { Text: not null } word)
                    return new RecipeMapping(located, [new RecipeEntry("kind", word.Location, word), new RecipeEntry(key, located, Replace(null, path, depth + 1, value, located))]);
                throw PerennialException.Usage($"{located}: '{string.Join('.', path[..depth])}' is a single value and has no key '{key}'");
        }
    }

    private static RecipeNode Relocate(RecipeNode node, RecipeLocation located) => node switch
    {
        RecipeScalar scalar => scalar with { Location = located },
        RecipeSequence sequence => sequence with { Location = located, Items = [.. sequence.Items.Select(item => Relocate(item, located))] },
        RecipeMapping mapping => mapping with
        {
            Location = located,
            Entries = [.. mapping.Entries.Select(entry => entry with { KeyLocation = located, Value = Relocate(entry.Value, located) })],
        },
        _ => node,
    };
}
