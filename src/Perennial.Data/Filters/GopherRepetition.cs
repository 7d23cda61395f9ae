using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
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
        if (Lines(document.Text) is { } lines) return lines;
        var words = DocumentWords.Of(document.Text);
        if (words.Count < FirstTop) return null;
        // What the most frequent pair, the longest stretch of words and pairs that repeat in a row cannot reach need not be counted.
        var bounds = GramBounds.Of(text, words);
        var least = options.Repeated.Count == 0 ? double.PositiveInfinity : options.Repeated.Min() * text.Length;
        var within = bounds.RepeatedFives <= least;
        for (var i = 0; i < options.Top.Count && within; i++) within = words.Count < FirstTop + i || (double)bounds.MostFrequentPair * bounds.Longest(FirstTop + i) <= options.Top[i] * text.Length;
        return within ? null : Counted(text, words, least);
    }

    private string? Counted(ReadOnlySpan<byte> text, DocumentWords words, double least)
    {
        using var grams = new GramTable(text, words);
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
        if (grams.RepeatedCoverAtMost(FirstRepeated) <= least || grams.RepeatedCover(FirstRepeated) <= least) return null;
        for (var i = 0; i < options.Repeated.Count; i++)
        {
            if (grams.Repeated(FirstRepeated + i) > options.Repeated[i] * text.Length) return $"repeated {FirstRepeated + i}-grams";
        }
        return null;
    }

    /// <summary>Repeated paragraphs (stretches of lines that are not empty) and lines, in one pass over the lines. White space around the text does not count.</summary>
    [SkipLocalsInit]
    private string? Lines(ReadOnlyMemory<byte> of)
    {
        var text = of.Span;
        var lines = DocumentLines.Of(of);
        var hashes = lines.Hashes;
        var (from, until) = (text.Length - text.TrimStart("\n "u8).Length, text.TrimEnd("\n "u8).Length);
        var seenLines = new SeenHashes(stackalloc ulong[SeenHashes.Small]);
        var seenParagraphs = new SeenHashes(stackalloc ulong[SeenHashes.Small]);
        var (all, repeated, bytes) = (0, 0, 0L);
        var (paragraphs, repeatedParagraphs, paragraphBytes) = (0, 0, 0L);
        var (paragraph, paragraphStart, paragraphEnd) = (0UL, -1, 0);
        var start = 0;
        for (var i = 0; i <= hashes.Length; i++)
        {
            var (first, end) = i < hashes.Length ? (Math.Max(start, from), Math.Min(lines.Ends[i], until)) : (0, 0);
            if (end <= first)
            {
                // An empty line, or the text's end: a paragraph is over.
                if (paragraphStart >= 0)
                {
                    paragraphs++;
                    if (!seenParagraphs.Add(paragraph)) (repeatedParagraphs, paragraphBytes) = (repeatedParagraphs + 1, paragraphBytes + paragraphEnd - paragraphStart);
                    (paragraph, paragraphStart) = (0, -1);
                }
            }
            else
            {
                var hash = first == start && end == lines.Ends[i] ? hashes[i] : WordHash.Of(text[first..end]);
                all++;
                if (!seenLines.Add(hash)) (repeated, bytes) = (repeated + 1, bytes + end - first);
                paragraph = WordHash.Mix(paragraph * 3 + hash);
                if (paragraphStart < 0) paragraphStart = first;
                paragraphEnd = end;
            }
            if (i < hashes.Length) start = lines.Ends[i] + 1;
        }
        if (repeatedParagraphs > options.Paragraphs * paragraphs) return "repeated paragraphs";
        if (paragraphBytes > options.ParagraphBytes * text.Length) return "bytes in repeated paragraphs";
        if (repeated > options.Lines * all) return "repeated lines";
        return bytes > options.LineBytes * text.Length ? "bytes in repeated lines" : null;
    }
}
