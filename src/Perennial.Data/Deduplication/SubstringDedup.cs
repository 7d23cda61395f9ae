using System.Buffers;
using System.Buffers.Binary;
using System.ComponentModel.DataAnnotations;
using System.Runtime.InteropServices;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Text;

namespace Perennial.Data.Deduplication;

/// <summary>Options of <see cref="SubstringDedup"/>.</summary>
public sealed record SubstringDedupOptions
{
    /// <summary>Shortest repeated stretch that is removed, in words.</summary>
    [Range(10, 10_000)]
    public int Words { get; init; } = 50;

    /// <summary>Documents of fewer words after cutting are removed.</summary>
    [Range(0, 1_000_000)]
    public int MinimumWords { get; init; } = 10;
}

/// <summary>
/// Cuts out stretches of at least fifty words that occurred before, wherever they stand (Lee et al., ACL 2022): a suffix array over the
/// words of all documents that share such a stretch. Which those are, selected fingerprints tell first (winnowing: Schleimer, Wilkerson
/// and Aiken, SIGMOD 2003), which misses no stretch of that length; more of them than memory holds are taken block by block.
/// </summary>
/// <param name="options">Lengths.</param>
[Component("substring-dedup")]
public sealed class SubstringDedup(SubstringDedupOptions options) : ICorpusFilter
{
    // Bytes of memory that a word of a suffix array's text takes: text, suffixes, ranks, prefixes, bookkeeping.
    private const int BytesOfWord = 40;

    /// <inheritdoc/>
    public void Sketch(Document document, IBufferWriter<byte> sketch)
    {
        ArgumentNullException.ThrowIfNull(document);
        ArgumentNullException.ThrowIfNull(sketch);
        var words = new NormalWords(document.Text.Span);
        while (words.Next(out var hash))
        {
            BinaryPrimitives.WriteUInt64LittleEndian(sketch.GetSpan(8), hash);
            sketch.Advance(8);
        }
    }

    /// <inheritdoc/>
    public void Decide(ICorpus corpus, IDecisions decisions)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        var suspects = Suspects(corpus);
        corpus.Note("documents that share a stretch", suspects.Count);
        using var cuts = new ExternalSorter<Place>(corpus.Scratch, "cuts", corpus.Memory / 4);
        var blocks = Blocks(corpus, suspects);
        for (var one = 0; one < blocks.Count; one++)
        {
            for (var other = one; other < blocks.Count; other++)
            {
                // A block with itself is covered by its first pair with another.
                if (other == one && blocks.Count > 1) continue;
                Compare(corpus, other == one ? blocks[one] : [.. blocks[one], .. blocks[other]], cuts);
            }
        }
        Write(cuts.Sorted(), decisions);
    }

    /// <inheritdoc/>
    public FilterResult Apply(Document document, ReadOnlySpan<byte> decision)
    {
        ArgumentNullException.ThrowIfNull(document);
        var ranges = MemoryMarshal.Cast<byte, int>(decision);
        var text = document.Text.Span;
        var kept = new byte[text.Length];
        var (written, copied, number, range, left, cutting) = (0, 0, 0, 0, 0, false);
        var words = new NormalWords(text);
        // From the first byte of the first word cut to the first byte of the word behind: never inside a character.
        for (; words.Next(out _); number++)
        {
            if (cutting && number == ranges[range + 1]) (cutting, copied, range) = (false, words.Start, range + 2);
            if (!cutting && range < ranges.Length && number == ranges[range])
            {
                text[copied..words.Start].CopyTo(kept.AsSpan(written));
                written += words.Start - copied;
                cutting = true;
            }
            if (!cutting) left++;
        }
        if (!cutting)
        {
            text[copied..].CopyTo(kept.AsSpan(written));
            written += text.Length - copied;
        }
        if (left < options.MinimumWords) return FilterResult.Reject("repeated stretches leave too little");
        return FilterResult.Keep(document with { Text = kept.AsMemory(0, written) }) with { Counts = [new("stretches cut", ranges.Length / 2)] };
    }

    private HashSet<DocumentKey> Suspects(ICorpus corpus)
    {
        // Any stretch of the full length holds one selected window of about half of it.
        var size = Math.Max(4, options.Words / 2);
        var window = options.Words - size + 1;
        using var sorter = new ExternalSorter<HashedPlace>(corpus.Scratch, "fingerprints", corpus.Memory / 2);
        var rolling = new List<ulong>();
        foreach (var (key, sketch) in corpus.Sketches())
        {
            Windows(MemoryMarshal.Cast<byte, ulong>(sketch.Span), size, rolling);
            var last = -1;
            var hashes = CollectionsMarshal.AsSpan(rolling);
            for (var i = 0; i + window <= hashes.Length; i++)
            {
                if (last < i || hashes[i + window - 1] < hashes[last])
                {
                    if (last < i) last = Least(hashes, i, window);
                    else last = i + window - 1;
                    sorter.Add(new HashedPlace(hashes[last], key, last));
                }
            }
        }
        var suspects = new HashSet<DocumentKey>();
        HashedPlace? before = null;
        foreach (var fingerprint in sorter.Sorted())
        {
            if (before is { } same && same.Hash == fingerprint.Hash)
            {
                suspects.Add(same.Key);
                suspects.Add(fingerprint.Key);
            }
            before = fingerprint;
        }
        return suspects;
    }

    private static int Least(ReadOnlySpan<ulong> hashes, int from, int count)
    {
        var least = from;
        for (var i = from + 1; i < from + count; i++) least = hashes[i] < hashes[least] ? i : least;
        return least;
    }

    private static void Windows(ReadOnlySpan<ulong> words, int size, List<ulong> into)
    {
        const ulong Base = 0xD6E8FEB86659FD93;
        into.Clear();
        var power = 1UL;
        for (var i = 0; i < size; i++) power *= Base;
        var rolling = 0UL;
        for (var i = 0; i < words.Length; i++)
        {
            rolling = rolling * Base + words[i];
            if (i >= size) rolling -= words[i - size] * power;
            if (i >= size - 1) into.Add(WordHash.Mix(rolling));
        }
    }

    private static List<List<(DocumentKey Key, ulong[] Words)>> Blocks(ICorpus corpus, HashSet<DocumentKey> suspects)
    {
        // Two blocks are in memory at a time, so a block has half of what memory holds.
        var capacity = Math.Max(1 << 16, Math.Min(1 << 28, corpus.Memory / BytesOfWord / 2));
        var blocks = new List<List<(DocumentKey, ulong[])>>();
        var filled = long.MaxValue;
        foreach (var (key, sketch) in corpus.Sketches())
        {
            if (!suspects.Contains(key)) continue;
            var words = MemoryMarshal.Cast<byte, ulong>(sketch.Span).ToArray();
            if (filled > capacity)
            {
                blocks.Add([]);
                filled = 0;
            }
            blocks[^1].Add((key, words));
            filled += words.Length + 1;
        }
        return blocks;
    }

    private void Compare(ICorpus corpus, List<(DocumentKey Key, ulong[] Words)> documents, ExternalSorter<Place> cuts)
    {
        corpus.Cancellation.ThrowIfCancellationRequested();
        var length = documents.Sum(document => document.Words.Length + 1);
        if (length == 0) return;
        // Words become small numbers; behind every document stands a number of its own, so that no stretch runs across.
        var numbers = new Dictionary<ulong, int>();
        var (text, owners, at) = (new int[length], new int[documents.Count + 1], 0);
        foreach (var (_, words) in documents)
        {
            foreach (var word in words)
            {
                ref var number = ref CollectionsMarshal.GetValueRefOrAddDefault(numbers, word, out var exists);
                if (!exists) number = numbers.Count - 1;
                text[at++] = number;
            }
            text[at++] = -1;
        }
        at = 0;
        for (var i = 0; i < documents.Count; i++)
        {
            owners[i] = at;
            at += documents[i].Words.Length;
            text[at++] = numbers.Count + i;
        }
        owners[^1] = at;
        var suffixes = SuffixArray.Build(text, numbers.Count + documents.Count);
        var prefixes = SuffixArray.CommonPrefixes(text, suffixes);
        // Neighbours that share enough are one group; its earliest place stays, the others are cut.
        for (var i = 0; i < suffixes.Length;)
        {
            var (end, first) = (i, suffixes[i]);
            while (end < prefixes.Length && prefixes[end] >= options.Words) first = Math.Min(first, suffixes[++end]);
            for (var j = i; j <= end && end > i; j++)
            {
                if (suffixes[j] == first) continue;
                var owner = Array.BinarySearch(owners, suffixes[j]);
                if (owner < 0) owner = ~owner - 1;
                cuts.Add(new Place(documents[owner].Key, suffixes[j] - owners[owner]));
            }
            i = end + 1;
        }
    }

    private void Write(IEnumerable<Place> cuts, IDecisions decisions)
    {
        var (ranges, key) = (new List<int>(), default(DocumentKey));
        void Close()
        {
            if (ranges.Count > 0) decisions.Add(key, MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(ranges)));
            ranges.Clear();
        }
        foreach (var cut in cuts)
        {
            if (cut.Key != key) Close();
            key = cut.Key;
            if (ranges.Count > 0 && cut.Unit <= ranges[^1]) ranges[^1] = Math.Max(ranges[^1], cut.Unit + options.Words);
            else ranges.AddRange([cut.Unit, cut.Unit + options.Words]);
        }
        Close();
    }
}
