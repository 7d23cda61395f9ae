using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data.Text;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="GopherRepetition"/>; defaults are those of the Gopher paper.</summary>
public sealed record GopherRepetitionOptions
{
    /// <summary>Largest share of lines that repeat an earlier one.</summary>
    [Range(0.0, 1.0)]
    public double Lines { get; init; } = 0.3;

    /// <summary>Largest share of paragraphs that repeat an earlier one.</summary>
    [Range(0.0, 1.0)]
    public double Paragraphs { get; init; } = 0.3;

    /// <summary>Largest share of bytes in such lines.</summary>
    [Range(0.0, 1.0)]
    public double LineBytes { get; init; } = 0.2;

    /// <summary>Largest share of bytes in such paragraphs.</summary>
    [Range(0.0, 1.0)]
    public double ParagraphBytes { get; init; } = 0.2;

    /// <summary>Largest share of bytes in all occurrences of the most frequent 2-gram, 3-gram, … of words.</summary>
    public IReadOnlyList<double> Top { get; init; } = [0.2, 0.18, 0.16];

    /// <summary>Largest share of bytes in 5-grams, 6-grams, … of words that repeat earlier ones.</summary>
    public IReadOnlyList<double> Repeated { get; init; } = [0.15, 0.14, 0.13, 0.12, 0.11, 0.10];
}

/// <summary>
/// The repetition rules of Gopher (Rae et al., arXiv 2112.11446, appendix A1), counted as datatrove counts: repeated lines and
/// paragraphs, the most frequent 2- to 4-grams, and repeated 5- to 10-grams of words.
/// </summary>
/// <param name="options">The limits.</param>
[Component("gopher-repetition")]
public sealed class GopherRepetition(GopherRepetitionOptions options) : IFilter
{
    private const int FirstTop = 2, FirstRepeated = 5;

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        return Reason(document) is { } reason ? FilterResult.Reject(reason) : FilterResult.Keep(document);
    }

    private string? Reason(Document document)
    {
        var text = document.Text.Span;
        if (Pieces(text, "\n\n"u8, options.Paragraphs, options.ParagraphBytes, "paragraphs") is { } paragraphs) return paragraphs;
        if (Pieces(text, "\n"u8, options.Lines, options.LineBytes, "lines") is { } lines) return lines;
        var words = DocumentWords.Of(document.Text);
        if (words.Count < FirstTop) return null;
        using var grams = new GramTable(text, words);
        // What the most frequent pair and the longest stretch of words cannot reach need not be counted.
        for (var (i, most) = (0, int.MaxValue); i < options.Top.Count; i++)
        {
            var n = FirstTop + i;
            if (words.Count < n) break;
            var limit = options.Top[i] * text.Length;
            var longest = grams.Longest(n);
            if (most != int.MaxValue && (long)most * longest <= limit) continue;
            most = Math.Min(most, grams.MostFrequentAtMost(n));
            if ((long)most * longest <= limit) continue;
            var bytes = grams.MostFrequent(n, out var count);
            most = Math.Min(most, count);
            if (bytes > limit) return $"most frequent {n}-gram";
        }
        if (options.Repeated.Count == 0 || words.Count < FirstRepeated) return null;
        var least = options.Repeated.Min() * text.Length;
        if (grams.RepeatedCoverAtMost(FirstRepeated) <= least || grams.RepeatedCover(FirstRepeated) <= least) return null;
        for (var i = 0; i < options.Repeated.Count; i++)
        {
            if (grams.Repeated(FirstRepeated + i) > options.Repeated[i] * text.Length) return $"repeated {FirstRepeated + i}-grams";
        }
        return null;
    }

    private static string? Pieces(ReadOnlySpan<byte> text, ReadOnlySpan<byte> separator, double share, double shareOfBytes, string what)
    {
        var (pieces, repeated, bytes) = (0, 0, 0L);
        var seen = new SeenHashes(stackalloc ulong[SeenHashes.Small]);
        for (var rest = text.Trim("\n "u8); !rest.IsEmpty;)
        {
            var end = rest.IndexOf(separator);
            var piece = end < 0 ? rest : rest[..end];
            rest = end < 0 ? default : rest[(end + separator.Length)..].TrimStart((byte)'\n');
            if (piece.IsEmpty) continue;
            pieces++;
            if (!seen.Add(WordHash.Of(piece))) (repeated, bytes) = (repeated + 1, bytes + piece.Length);
        }
        if (repeated > share * pieces) return $"repeated {what}";
        return bytes > shareOfBytes * text.Length ? $"bytes in repeated {what}" : null;
    }
}
