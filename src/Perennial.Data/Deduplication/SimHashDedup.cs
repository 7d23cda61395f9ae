using System.Buffers;
using System.Buffers.Binary;
using System.ComponentModel.DataAnnotations;
using System.Numerics;
using System.Runtime.Intrinsics;
using System.Text;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Text;

namespace Perennial.Data.Deduplication;

/// <summary>Options of <see cref="SimHashDedup"/>.</summary>
public sealed record SimHashDedupOptions
{
    /// <summary>Largest number of differing bits of 64.</summary>
    [Range(0, 3)]
    public int Distance { get; init; } = 3;

    /// <summary>Words of an n-gram that sketches are made of.</summary>
    [Range(1, 20)]
    public int Ngram { get; init; } = 1;

    /// <summary>Smallest Jaccard similarity of 3-grams of words, verified; 0 trusts the sketches.</summary>
    [Range(0.0, 1.0)]
    public double Verify { get; init; } = 0.5;

    /// <summary>Which documents are compared.</summary>
    public DuplicateScope Scope { get; init; } = DuplicateScope.Corpus;
}

/// <summary>
/// Removes near-duplicates by 64-bit SimHash sketches (Charikar, STOC 2002; Manku, Jain and Das Sarma, WWW 2007): sketches that differ in
/// at most three bits agree in one of four 16-bit blocks, which index them.
/// </summary>
/// <param name="options">Distance.</param>
[Component("simhash-dedup")]
public sealed class SimHashDedup(SimHashDedupOptions options) : ICorpusFilter
{
    private const int Blocks = 4;
    private const int VerifiedNgram = 3;

    private readonly record struct Entry(uint Block, ulong Hash, DocumentKey Key) : IComparable<Entry>
    {
        public int CompareTo(Entry other) => Block != other.Block ? Block.CompareTo(other.Block) : Hash != other.Hash ? Hash.CompareTo(other.Hash) : Key.CompareTo(other.Key);
    }

    /// <inheritdoc/>
    public void Sketch(Document document, IBufferWriter<byte> sketch)
    {
        ArgumentNullException.ThrowIfNull(document);
        ArgumentNullException.ThrowIfNull(sketch);
        if (Hash(document.Text.Span, options.Ngram) is not { } hash) return;
        BinaryPrimitives.WriteUInt64LittleEndian(sketch.GetSpan(8), hash);
        sketch.Advance(8);
    }

    /// <summary>The sketch of a text: for every bit, whether more n-grams (each as often as it occurs) have it than have it not. Null without words.</summary>
    public static ulong? Hash(ReadOnlySpan<byte> text, int ngram)
    {
        var shingles = new List<ulong>();
        Shingles.Add(text, ngram, shingles);
        if (shingles.Count == 0) return null;
        var bits = Vector512.Create(1UL, 2, 4, 8, 16, 32, 64, 128);
        Span<long> sums = stackalloc long[64];
        sums.Clear();
        for (var block = 0; block < 8; block++)
        {
            var sum = Vector512<long>.Zero;
            foreach (var shingle in shingles) sum -= Vector512.Equals(Vector512.Create(shingle >> 8 * block) & bits, bits).AsInt64();
            sum.CopyTo(sums[(8 * block)..]);
        }
        var hash = 0UL;
        for (var bit = 0; bit < 64; bit++) hash |= sums[bit] * 2 > shingles.Count ? 1UL << bit : 0;
        return hash;
    }

    /// <inheritdoc/>
    public void Decide(ICorpus corpus, IDecisions decisions)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        using var sorter = new ExternalSorter<Entry>(corpus.Scratch, "sketches", corpus.Memory / 2);
        foreach (var (key, sketch) in corpus.Sketches())
        {
            var hash = BinaryPrimitives.ReadUInt64LittleEndian(sketch.Span);
            for (var block = 0; block < Blocks; block++) sorter.Add(new Entry((uint)(block << 16) | (ushort)(hash >> 16 * block), hash, key));
        }
        var clusters = new Clusters();
        var group = new List<Entry>();
        var present = uint.MaxValue;
        foreach (var entry in sorter.Sorted())
        {
            if (entry.Block != present)
            {
                group.Clear();
                present = entry.Block;
            }
            // Of documents with the very same sketch only the earliest is compared with others.
            if (group.Count > 0 && group[^1].Hash == entry.Hash && group[^1].Key != entry.Key)
            {
                Link(corpus, clusters, group[^1], entry);
                continue;
            }
            foreach (var other in group)
            {
                if (BitOperations.PopCount(other.Hash ^ entry.Hash) <= options.Distance) Link(corpus, clusters, other, entry);
            }
            group.Add(entry);
        }
        using var removals = new Removals(corpus, corpus.Memory / 4);
        clusters.Reduce(corpus, DuplicatePreference.First, null, removals);
        removals.Write(decisions);
    }

    /// <inheritdoc/>
    public FilterResult Apply(Document document, ReadOnlySpan<byte> decision) => FilterResult.Reject("near-duplicate", Encoding.UTF8.GetString(decision));

    private void Link(ICorpus corpus, Clusters clusters, Entry one, Entry other)
    {
        if (options.Scope == DuplicateScope.Source && corpus.SourceOf(one.Key) != corpus.SourceOf(other.Key)) return;
        var similarity = 1 - BitOperations.PopCount(one.Hash ^ other.Hash) / 64.0;
        if (options.Verify > 0)
        {
            similarity = Shingles.Jaccard(Shingles.Set(corpus.Read(one.Key).Text.Span, VerifiedNgram), Shingles.Set(corpus.Read(other.Key).Text.Span, VerifiedNgram));
            if (similarity < options.Verify) return;
        }
        clusters.Link(one.Key, other.Key, (float)similarity);
    }
}
