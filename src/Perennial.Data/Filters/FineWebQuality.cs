using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using Perennial.Core;
using Perennial.Data.Text;

namespace Perennial.Data.Filters;

/// <summary>Options of <see cref="FineWebQuality"/>; defaults are those of FineWeb.</summary>
public sealed record FineWebOptions
{
    /// <summary>Smallest share of lines that end in punctuation.</summary>
    [Range(0.0, 1.0)]
    public double Punctuation { get; init; } = 0.12;

    /// <summary>Longest line that counts as short, characters.</summary>
    [Range(1, 10_000)]
    public int ShortLine { get; init; } = 30;

    /// <summary>Largest share of short lines.</summary>
    [Range(0.0, 1.0)]
    public double ShortLines { get; init; } = 0.67;

    /// <summary>Largest share of bytes in lines that repeat an earlier one.</summary>
    [Range(0.0, 1.0)]
    public double RepeatedBytes { get; init; } = 0.01;

    /// <summary>Most line ends for every word.</summary>
    [Range(0.0, 10)]
    public double LineEnds { get; init; } = 0.3;
}

/// <summary>The rules that FineWeb adds (Penedo et al., arXiv 2406.17557, section 3.6): lines ending in punctuation, short lines, repeated lines, lists.</summary>
/// <param name="options">The limits.</param>
[Component("fineweb")]
public sealed class FineWebQuality(FineWebOptions options) : IFilter
{
    /// <inheritdoc/>
    [SkipLocalsInit]
    public FilterResult Apply(Document document, long index)
    {
        ArgumentNullException.ThrowIfNull(document);
        var text = document.Text.Span;
        var all = DocumentLines.Of(document.Text);
        var hashes = all.Hashes;
        var (lines, ended, brief, repeated, start) = (0, 0, 0, 0L, 0);
        var seen = new SeenHashes(stackalloc ulong[SeenHashes.Small]);
        for (var i = 0; i < hashes.Length; i++)
        {
            var line = text[start..all.Ends[i]];
            start = all.Ends[i] + 1;
            var trimmed = TextLines.Trim(line);
            if (trimmed.IsEmpty) continue;
            lines++;
            if (EndsInPunctuation(trimmed)) ended++;
            if (line.Length <= options.ShortLine || (line.Length <= 4 * options.ShortLine && !System.Text.Ascii.IsValid(line) && Characters(line) <= options.ShortLine)) brief++;
            if (!seen.Add(hashes[i])) repeated += line.Length;
        }
        if (lines == 0) return FilterResult.Reject("empty");
        if (ended < options.Punctuation * lines) return FilterResult.Reject("too few lines end in punctuation");
        if (brief > options.ShortLines * lines) return FilterResult.Reject("too many short lines");
        if (repeated > options.RepeatedBytes * text.Length) return FilterResult.Reject("bytes in repeated lines");
        return all.Count - 1 > options.LineEnds * DocumentWords.Of(document.Text).Count ? FilterResult.Reject("too many line ends") : FilterResult.Keep(document);
    }

    private static bool EndsInPunctuation(ReadOnlySpan<byte> line) =>
        line[^1] is (byte)'.' or (byte)'!' or (byte)'?' or (byte)'"' or (byte)'\''
        || (line[^1] >= 0x80 && (line.EndsWith("”"u8) || line.EndsWith("’"u8) || line.EndsWith("。"u8) || line.EndsWith("！"u8) || line.EndsWith("？"u8) || line.EndsWith("…"u8)));

    private static int Characters(ReadOnlySpan<byte> line)
    {
        var count = 0;
        foreach (var value in line) count += (value & 0xC0) != 0x80 ? 1 : 0;
        return count;
    }
}
