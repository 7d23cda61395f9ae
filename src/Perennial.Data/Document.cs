namespace Perennial.Data;

/// <summary>Where a document came from.</summary>
/// <param name="Path">File, as the recipe found it, with forward slashes.</param>
/// <param name="Record">Zero-based number of the document inside that file.</param>
/// <param name="Line">One-based line of the text or row of the table at which it begins.</param>
public sealed record Provenance(string Path, long Record, long Line);

/// <summary>One document: UTF-8 text, where it came from, and any scores that a pipeline gave it.</summary>
/// <param name="Text">UTF-8 bytes.</param>
/// <param name="Origin">Where it came from.</param>
public sealed record Document(ReadOnlyMemory<byte> Text, Provenance Origin)
{
    /// <summary>Named scores (for example <c>quality</c>) that orders and filters read.</summary>
    public IReadOnlyDictionary<string, double> Scores { get; init; } = System.Collections.Immutable.ImmutableDictionary<string, double>.Empty;
}
