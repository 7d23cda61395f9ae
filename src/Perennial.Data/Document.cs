using System.Collections.Immutable;

namespace Perennial.Data;

/// <summary>Where a document came from.</summary>
/// <param name="Path">File, as the recipe found it, with forward slashes.</param>
/// <param name="Record">Zero-based number of the document inside that file.</param>
/// <param name="Line">One-based line of the text or row of the table at which it begins.</param>
public sealed record Provenance(string Path, long Record, long Line)
{
    /// <summary>Offset of its first byte in the file's content (after decompression); −1 where a format has none (parquet).</summary>
    public long Offset { get; init; } = -1;

    /// <summary>Bytes that it takes there (a JSON line, a WARC record, a stretch of text); 0 where unknown.</summary>
    public long Bytes { get; init; }
}

/// <summary>One document: UTF-8 text, where it came from, and any scores that a pipeline gave it. Its memory is never written to again.</summary>
/// <param name="Text">UTF-8 bytes.</param>
/// <param name="Origin">Where it came from.</param>
public sealed record Document(ReadOnlyMemory<byte> Text, Provenance Origin)
{
    /// <summary>Named scores (for example <c>quality</c>) that orders and filters read.</summary>
    public IReadOnlyDictionary<string, double> Scores { get; init; } = ImmutableDictionary<string, double>.Empty;

    /// <summary>Other text that the source had beside it, such as <c>url</c> or <c>date</c>.</summary>
    public IReadOnlyDictionary<string, string> Fields { get; init; } = ImmutableDictionary<string, string>.Empty;

    /// <summary>The same document with one more score.</summary>
    public Document WithScore(string name, double value) => this with { Scores = new Dictionary<string, double>(Scores, StringComparer.Ordinal) { [name] = value } };
}
