using System.Buffers;
using System.Buffers.Binary;
using System.ComponentModel.DataAnnotations;
using System.Runtime.InteropServices;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Text;

namespace Perennial.Data.Deduplication;

/// <summary>What a text is cut into for comparing its parts.</summary>
public enum SpanUnit
{
    /// <summary>Sentences.</summary>
    Sentence,

    /// <summary>Lines.</summary>
    Line,

    /// <summary>Paragraphs (between blank lines).</summary>
    Paragraph,
}

/// <summary>Options of <see cref="SpanDedup"/>.</summary>
public sealed record SpanDedupOptions
{
    /// <summary>What is compared.</summary>
    public SpanUnit Unit { get; init; } = SpanUnit.Sentence;

    /// <summary>How many in a row make one span.</summary>
    [Range(1, 100)]
    public int Window { get; init; } = 3;

    /// <summary>How often a span may occur in the corpus before further occurrences are cut.</summary>
    [Range(1, 1_000_000)]
    public int Keep { get; init; } = 1;

    /// <summary>Spans of fewer words are left alone.</summary>
    [Range(1, 10_000)]
    public int SpanWords { get; init; } = 3;

    /// <summary>Documents of fewer words after cutting are removed.</summary>
    [Range(0, 1_000_000)]
    public int MinimumWords { get; init; } = 50;

    /// <summary>Documents of fewer units after cutting are removed.</summary>
    [Range(0, 1_000_000)]
    public int MinimumUnits { get; init; } = 3;
}

/// <summary>
/// Cuts out spans of sentences, lines or paragraphs that occurred before in the corpus (three sentences in a row as C4 and datatrove do,
/// Raffel et al., JMLR 21:140), and removes documents of which too little is left. Case, digits and punctuation make no difference.
/// </summary>
/// <param name="options">Unit and limits.</param>
[Component("span-dedup")]
public sealed class SpanDedup(SpanDedupOptions options) : ICorpusFilter
{
    /// <inheritdoc/>
    public void Sketch(Document document, IBufferWriter<byte> sketch)
    {
        ArgumentNullException.ThrowIfNull(document);
        ArgumentNullException.ThrowIfNull(sketch);
        var units = Units(document.Text.Span);
        for (var i = 0; i + options.Window <= units.Count; i++)
        {
            var (hash, words) = (0UL, 0);
            for (var j = i; j < i + options.Window; j++) (hash, words) = (WordHash.Mix(hash ^ units[j].Hash), words + units[j].Words);
            if (words < options.SpanWords) continue;
            var bytes = sketch.GetSpan(12);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, hash);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[8..], i);
            sketch.Advance(12);
        }
    }

    /// <inheritdoc/>
    public void Decide(ICorpus corpus, IDecisions decisions)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        using var sorter = new ExternalSorter<HashedPlace>(corpus.Scratch, "spans", corpus.Memory / 2);
        foreach (var (key, sketch) in corpus.Sketches())
        {
            for (var at = 0; at < sketch.Length; at += 12) sorter.Add(new HashedPlace(BinaryPrimitives.ReadUInt64LittleEndian(sketch.Span[at..]), key, BinaryPrimitives.ReadInt32LittleEndian(sketch.Span[(at + 8)..])));
        }
        using var cuts = new ExternalSorter<Place>(corpus.Scratch, "cuts", corpus.Memory / 4);
        var (present, seen) = (0UL, 0);
        foreach (var entry in sorter.Sorted())
        {
            (present, seen) = entry.Hash == present ? (present, seen + 1) : (entry.Hash, 1);
            if (seen <= options.Keep) continue;
            for (var unit = 0; unit < options.Window; unit++) cuts.Add(new Place(entry.Key, entry.Unit + unit));
        }
        var (units, current) = (new List<int>(), default(DocumentKey));
        void Close()
        {
            if (units.Count > 0) decisions.Add(current, MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(units)));
            units.Clear();
        }
        foreach (var cut in cuts.Sorted())
        {
            if (cut.Key != current) Close();
            current = cut.Key;
            if (units.Count == 0 || units[^1] != cut.Unit) units.Add(cut.Unit);
        }
        Close();
    }

    /// <inheritdoc/>
    public FilterResult Apply(Document document, ReadOnlySpan<byte> decision)
    {
        ArgumentNullException.ThrowIfNull(document);
        var cut = MemoryMarshal.Cast<byte, int>(decision);
        var text = document.Text.Span;
        var units = Units(text);
        var kept = new byte[text.Length];
        var (written, words, left, next) = (0, 0, 0, 0);
        for (var i = 0; i < units.Count; i++)
        {
            if (next < cut.Length && cut[next] == i)
            {
                next++;
                continue;
            }
            text[units[i].Start..units[i].End].CopyTo(kept.AsSpan(written));
            written += units[i].End - units[i].Start;
            words += units[i].Words;
            left++;
        }
        if (words < options.MinimumWords || left < options.MinimumUnits) return FilterResult.Reject("repeated spans leave too little");
        return FilterResult.Keep(document with { Text = kept.AsSpan(0, written).TrimEnd("\n "u8).ToArray() }) with { Counts = [new("units cut", cut.Length)] };
    }

    private List<(int Start, int End, ulong Hash, int Words)> Units(ReadOnlySpan<byte> text)
    {
        var units = new List<(int, int, ulong, int)>();
        if (options.Unit == SpanUnit.Sentence)
        {
            var sentences = new Sentences(text);
            while (sentences.Next()) Add(text, sentences.Start, sentences.End, units);
            return units;
        }
        var separator = options.Unit == SpanUnit.Line ? "\n"u8 : "\n\n"u8;
        for (var at = 0; at < text.Length;)
        {
            var found = text[at..].IndexOf(separator);
            var end = found < 0 ? text.Length : at + found + separator.Length;
            while (end < text.Length && text[end] == '\n') end++;
            Add(text, at, end, units);
            at = end;
        }
        return units;
    }

    private static void Add(ReadOnlySpan<byte> text, int start, int end, List<(int, int, ulong, int)> units)
    {
        var (hash, count) = (0UL, 0);
        var words = new NormalWords(text[start..end]);
        while (words.Next(out var word)) (hash, count) = (WordHash.Mix(hash ^ word), count + 1);
        units.Add((start, end, hash, count));
    }
}
