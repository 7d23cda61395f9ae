namespace Perennial.Core.Recipes;

/// <summary>A place in a recipe file.</summary>
/// <param name="File">File name as the user gave it, or the name of another source such as <c>--set</c>.</param>
/// <param name="Line">One-based line; 0 when there is none.</param>
/// <param name="Column">One-based column; 0 when there is none.</param>
public sealed record RecipeLocation(string File, int Line, int Column)
{
    /// <summary><c>file:line:column</c>, or the source's name alone.</summary>
    public override string ToString() => Line > 0 ? $"{File}:{Line}:{Column}" : File;
}

/// <summary>A parsed recipe value that knows where it was written. Immutable.</summary>
/// <param name="Location">Where the value begins.</param>
public abstract record RecipeNode(RecipeLocation Location)
{
    /// <summary>What a person would call this kind of value.</summary>
    public abstract string Describe { get; }

    /// <summary>A one-line error at this place, exit code 2.</summary>
    public PerennialException Error(string problem) => PerennialException.Usage($"{Location}: {problem}");
}

/// <summary>A single value.</summary>
/// <param name="Location">Where it was written.</param>
/// <param name="Text">Its text, unquoted; null for YAML's null.</param>
/// <param name="Quoted">Whether it was quoted (a quoted value is never null).</param>
public sealed record RecipeScalar(RecipeLocation Location, string? Text, bool Quoted = false) : RecipeNode(Location)
{
    /// <inheritdoc/>
    public override string Describe => Text is null ? "nothing" : $"'{Text}'";
}

/// <summary>A list.</summary>
/// <param name="Location">Where it begins.</param>
/// <param name="Items">Its items in order.</param>
public sealed record RecipeSequence(RecipeLocation Location, IReadOnlyList<RecipeNode> Items) : RecipeNode(Location)
{
    /// <inheritdoc/>
    public override string Describe => "a list";
}

/// <summary>One key of a mapping and its value.</summary>
/// <param name="Key">The key.</param>
/// <param name="KeyLocation">Where the key was written.</param>
/// <param name="Value">The value.</param>
public sealed record RecipeEntry(string Key, RecipeLocation KeyLocation, RecipeNode Value);

/// <summary>A mapping with unique keys, in file order.</summary>
/// <param name="Location">Where it begins.</param>
/// <param name="Entries">Its entries.</param>
public sealed record RecipeMapping(RecipeLocation Location, IReadOnlyList<RecipeEntry> Entries) : RecipeNode(Location)
{
    /// <inheritdoc/>
    public override string Describe => "a mapping of keys";

    /// <summary>The value of a key, or null.</summary>
    public RecipeNode? this[string key] => Entries.FirstOrDefault(entry => entry.Key == key)?.Value;
}
