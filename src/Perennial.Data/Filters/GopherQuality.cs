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
        var words = DocumentWords.Of(document.Text);
        if (words.Count < options.MinimumWords) return $"fewer than {options.MinimumWords} words";
        var (plain, characters, alphabetic) = (0, 0L, 0);
        Span<byte> lower = stackalloc byte[16];
        var found = 0;
        Span<ulong> foundWords = stackalloc ulong[64];
        var isAscii = System.Text.Ascii.IsValid(text);
        var starts = words.Starts;
        var ends = words.Ends;
        for (var i = 0; i < starts.Length; i++)
        {
            var (start, end) = (starts[i], ends[i]);
            while (start < end && IsPunctuation(text[start])) start++;
            if (start == end) continue;
            while (IsPunctuation(text[end - 1])) end--;
            plain++;
            var word = text[start..end];
            characters += isAscii ? word.Length : Characters(word);
            if ((uint)((word[0] | 0x20) - 'a') < 26 || HasLetter(word)) alphabetic++;
            if (found >= options.StopWords || word.Length > 12) continue;
            for (var j = 0; j < word.Length; j++) lower[j] = word[j] is >= (byte)'A' and <= (byte)'Z' ? (byte)(word[j] | 0x20) : word[j];
            var hash = WordHash.Of(lower[..word.Length]);
            if (stopWords.Contains(hash) && foundWords[..found].IndexOf(hash) < 0 && found < 64) foundWords[found++] = hash;
        }
        if (plain < options.MinimumWords) return $"fewer than {options.MinimumWords} words";
        if (plain > options.MaximumWords) return $"more than {options.MaximumWords} words";
        var mean = characters / (double)plain;
        if (mean < options.MinimumMeanWord) return "mean word too short";
        if (mean > options.MaximumMeanWord) return "mean word too long";
        if (text.Count((byte)'#') > options.Symbols * words.Count) return "too many hashes";
        if (text.Count("..."u8) + text.Count("…"u8) > options.Symbols * words.Count) return "too many ellipses";
        var (lines, bullets, ellipses) = (0, 0, 0);
        var scan = new TextLines(text);
        while (scan.Next())
        {
            lines++;
            var line = scan.Line.Trim((byte)' ');
            if (line.IsEmpty) continue;
            if (line[0] is (byte)'-' or (byte)'*' || line.StartsWith("•"u8)) bullets++;
            if (line.EndsWith("..."u8) || line.EndsWith("…"u8)) ellipses++;
        }
        if (bullets > options.Bullets * lines) return "too many bullets";
        if (ellipses > options.Ellipses * lines) return "too many lines end in an ellipsis";
        if (alphabetic < options.Alphabetic * words.Count) return "too few words with letters";
        return found < options.StopWords ? "too few stop words" : null;
    }

    private static int Characters(ReadOnlySpan<byte> word)
    {
        var count = 0;
        foreach (var value in word) count += (value & 0xC0) != 0x80 ? 1 : 0;
        return count;
    }

    private static bool HasLetter(ReadOnlySpan<byte> word)
    {
        foreach (var value in word)
        {
            if (value is >= (byte)'a' and <= (byte)'z' or >= (byte)'A' and <= (byte)'Z' or >= 0x80) return true;
        }
        return false;
    }

    private static bool IsPunctuation(byte value) => Punctuation[value];

    private static readonly bool[] Punctuation = [.. Enumerable.Range(0, 256).Select(value => IsSign((byte)value))];

    private static bool IsSign(byte value) => value is < (byte)'0' or > (byte)'9' and < (byte)'A' or > (byte)'Z' and < (byte)'a' or > (byte)'z' and < 0x80;
}
