using System.ComponentModel.DataAnnotations;
using System.Text;
using Perennial.Core;
using Perennial.Data.Text;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="GopherQuality"/>; defaults are those of the Gopher paper.</summary>
public sealed record GopherQualityOptions : IValidatedOptions
{
    /// <summary>Fewest words.</summary>
    [Range(0, int.MaxValue)]
    public int MinimumWords { get; init; } = 50;

    /// <summary>Most words.</summary>
    [Range(1, int.MaxValue)]
    public int MaximumWords { get; init; } = 100_000;

    /// <summary>Shortest mean word, characters.</summary>
    [Range(0.0, 100)]
    public double MinimumMeanWord { get; init; } = 3;

    /// <summary>Longest mean word, characters.</summary>
    [Range(0.0, 1000)]
    public double MaximumMeanWord { get; init; } = 10;

    /// <summary>Most hashes, and most ellipses, for every word.</summary>
    [Range(0.0, 10)]
    public double Symbols { get; init; } = 0.1;

    /// <summary>Largest share of lines that begin with a bullet.</summary>
    [Range(0.0, 1.0)]
    public double Bullets { get; init; } = 0.9;

    /// <summary>Largest share of lines that end in an ellipsis.</summary>
    [Range(0.0, 1.0)]
    public double Ellipses { get; init; } = 0.3;

    /// <summary>Smallest share of words with a letter.</summary>
    [Range(0.0, 1.0)]
    public double Alphabetic { get; init; } = 0.8;

    /// <summary>How many different stop words there must be.</summary>
    [Range(0, 100)]
    public int StopWords { get; init; } = 2;

    /// <summary>The stop words; for other languages than English give theirs.</summary>
    public IReadOnlyList<string> Words { get; init; } = ["the", "be", "to", "of", "and", "that", "have", "with"];

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (MinimumWords > MaximumWords) yield return ("minimum-words", "must be at most maximum-words");
        foreach (var word in Words.Where(word => Encoding.UTF8.GetByteCount(word) > 64)) yield return ("words", $"'{word}' is longer than 64 bytes");
        if (StopWords > Words.Count) yield return ("stop-words", $"must be at most the number of words ({Words.Count})");
    }
}

/// <summary>
/// The document rules of Gopher (Rae et al., arXiv 2112.11446, appendix A1): length, mean word length, symbols, bullets,
/// ellipses, words with letters, stop words. Words stand between white space, without punctuation around them; lengths are in characters.
/// </summary>
/// <param name="options">The limits.</param>
[Component("gopher-quality")]
public sealed class GopherQuality(GopherQualityOptions options) : IFilter
{
    private const int LongestStopWord = 64;

    private readonly HashSet<ulong> stopWords = [.. options.Words.Select(word => WordHash.Of(Encoding.UTF8.GetBytes(word.ToLowerInvariant())))];

    /// <inheritdoc/>
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        return Reason(document) is { } reason ? FilterResult.Reject(reason) : FilterResult.Keep(document);
    }

    private string? Reason(Document document)
    {
        var text = document.Text.Span;
        var words = WordCounts.Of(text);
        if (words.Plain < options.MinimumWords) return $"fewer than {options.MinimumWords} words";
        if (words.Plain > options.MaximumWords) return $"more than {options.MaximumWords} words";
        var mean = words.Characters / (double)words.Plain;
        if (mean < options.MinimumMeanWord) return "mean word too short";
        if (mean > options.MaximumMeanWord) return "mean word too long";
        if (text.Count((byte)'#') > options.Symbols * words.Words) return "too many hashes";
        if (text.Count("..."u8) + text.Count("…"u8) > options.Symbols * words.Words) return "too many ellipses";
        var lines = DocumentLines.Of(document.Text);
        var (start, bullets, ellipses) = (0, 0, 0);
        foreach (var end in lines.Ends)
        {
            var line = text[start..end].Trim((byte)' ');
            start = end + 1;
            if (line.IsEmpty) continue;
            if (line[0] is (byte)'-' or (byte)'*' || (line[0] == 0xE2 && line.StartsWith("•"u8))) bullets++;
            if (line[^1] is (byte)'.' or 0xA6 && (line.EndsWith("..."u8) || line.EndsWith("…"u8))) ellipses++;
        }
        if (bullets > options.Bullets * lines.Count) return "too many bullets";
        if (ellipses > options.Ellipses * lines.Count) return "too many lines end in an ellipsis";
        if (words.Lettered < options.Alphabetic * words.Words) return "too few words with letters";
        return HasStopWords(text) ? null : "too few stop words";
    }

    // Ordinary prose has them among its first words: the rest is not looked at.
    private bool HasStopWords(ReadOnlySpan<byte> text)
    {
        if (options.StopWords == 0) return true;
        var found = new HashSet<ulong>();
        Span<byte> lower = stackalloc byte[LongestStopWord];
        for (var at = 0; at < text.Length; at++)
        {
            var start = at;
            while (at < text.Length && text[at] > ' ') at++;
            var end = at;
            while (start < end && IsPunctuation(text[start])) start++;
            while (end > start && IsPunctuation(text[end - 1])) end--;
            var word = text[start..end];
            if (word.Length is 0 or > LongestStopWord) continue;
            for (var i = 0; i < word.Length; i++) lower[i] = word[i] is >= (byte)'A' and <= (byte)'Z' ? (byte)(word[i] | 0x20) : word[i];
            var hash = WordHash.Of(lower[..word.Length]);
            if (stopWords.Contains(hash) && found.Add(hash) && found.Count == options.StopWords) return true;
        }
        return false;
    }

    private static bool IsPunctuation(byte value) => Punctuation[value];

    private static readonly bool[] Punctuation = [.. Enumerable.Range(0, 256).Select(value => IsSign((byte)value))];

    private static bool IsSign(byte value) => value is < (byte)'0' or > (byte)'9' and < (byte)'A' or > (byte)'Z' and < (byte)'a' or > (byte)'z' and < 0x80;
}
