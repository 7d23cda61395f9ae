using System.Buffers;
using System.Buffers.Binary;
using System.ComponentModel.DataAnnotations;
using System.Runtime.InteropServices;
using System.Text;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Text;

namespace Perennial.Data.Deduplication;

/// <summary>Options of <see cref="MinHashDedup"/>.</summary>
public sealed record MinHashDedupOptions : IValidatedOptions
{
    /// <summary>Smallest Jaccard similarity of two documents' n-grams that makes them duplicates; verified on the n-grams themselves.</summary>
    [Range(0.1, 1.0)]
    public double Threshold { get; init; } = 0.8;

    /// <summary>Words of an n-gram (characters of scripts without spaces).</summary>
    [Range(1, 20)]
    public int Ngram { get; init; } = 5;

    /// <summary>Bands: documents that agree in all rows of one band are compared.</summary>
    [Range(1, 1000)]
    public int Bands { get; init; } = 20;

    /// <summary>Rows of a band. A pair of similarity s is found with probability 1 − (1 − s^rows)^bands: with 20 of 6, 0.998 at 0.8.</summary>
    [Range(1, 100)]
    public int Rows { get; init; } = 6;

    /// <summary>Which documents are compared.</summary>
    public DuplicateScope Scope { get; init; } = DuplicateScope.Corpus;

    /// <summary>Which document of a group stays.</summary>
    public DuplicatePreference Prefer { get; init; } = DuplicatePreference.First;

    /// <summary>The score that <c>prefer: score</c> looks at.</summary>
    public string? Score { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Prefer == DuplicatePreference.Score && Score is null) yield return ("score", "is needed with prefer: score");
        if (Bands * Rows > 4096) yield return ("bands", "bands times rows must be at most 4096");
    }
}

/// <summary>
/// Removes near-duplicates: MinHash signatures, locality-sensitive hashing in bands, candidates verified by their exact Jaccard
/// similarity, groups by union-find (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3).
/// </summary>
/// <param name="options">Threshold and bands.</param>
[Component("minhash-dedup")]
public sealed class MinHashDedup(MinHashDedupOptions options) : ICorpusFilter
{
    // In a group of more documents than this that agree in a band, each is compared with the first and with the one before it.
    private const int AllPairs = 24;
    private const int VerifiedAtOnce = 2048;

    private readonly MinHash hashes = new(options.Bands * options.Rows);

    private readonly record struct Entry(ulong Band, DocumentKey Key) : IComparable<Entry>
    {
        public int CompareTo(Entry other) => Band != other.Band ? Band.CompareTo(other.Band) : Key.CompareTo(other.Key);
    }

    private readonly record struct Pair(DocumentKey First, DocumentKey Second) : IComparable<Pair>
    {
        public int CompareTo(Pair other) => First != other.First ? First.CompareTo(other.First) : Second.CompareTo(other.Second);
    }

    /// <inheritdoc/>
    public void Sketch(Document document, IBufferWriter<byte> sketch)
    {
        ArgumentNullException.ThrowIfNull(document);
        ArgumentNullException.ThrowIfNull(sketch);
        var signature = ArrayPool<uint>.Shared.Rent(hashes.Permutations);
        if (Signature(document.Text.Span, signature))
        {
            var bytes = sketch.GetSpan(options.Bands * 8);
            for (var band = 0; band < options.Bands; band++)
            {
                var hash = (ulong)band;
                foreach (var value in signature.AsSpan(band * options.Rows, options.Rows)) hash = WordHash.Mix(hash ^ value);
                BinaryPrimitives.WriteUInt64LittleEndian(bytes[(band * 8)..], hash);
            }
            sketch.Advance(options.Bands * 8);
        }
        ArrayPool<uint>.Shared.Return(signature);
    }

    /// <summary>The MinHash signature of a text; false for a text without words.</summary>
    public bool Signature(ReadOnlySpan<byte> text, Span<uint> signature)
    {
        var shingles = new List<ulong>(text.Length / 5 + 8);
        Shingles.Add(text, options.Ngram, shingles);
        if (shingles.Count == 0) return false;
        var narrow = ArrayPool<uint>.Shared.Rent(shingles.Count);
        var all = CollectionsMarshal.AsSpan(shingles);
        for (var i = 0; i < all.Length; i++) narrow[i] = (uint)(all[i] >> 32);
        hashes.Sign(narrow.AsSpan(0, all.Length), signature);
        ArrayPool<uint>.Shared.Return(narrow);
        return true;
    }

    /// <inheritdoc/>
    public void Decide(ICorpus corpus, IDecisions decisions)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        using var pairs = Candidates(corpus);
        var clusters = new Clusters();
        var (verified, candidates) = (0L, 0L);
        foreach (var batch in Distinct(pairs.Sorted()).Chunk(VerifiedAtOnce))
        {
            corpus.Cancellation.ThrowIfCancellationRequested();
            var similarities = new double[batch.Length];
            var sets = new System.Collections.Concurrent.ConcurrentDictionary<DocumentKey, ulong[]>();
            Parallel.For(0, batch.Length, i => similarities[i] = Shingles.Jaccard(SetOf(batch[i].First), SetOf(batch[i].Second)));
            for (var i = 0; i < batch.Length; i++)
            {
                candidates++;
                if (similarities[i] < options.Threshold) continue;
                verified++;
                clusters.Link(batch[i].First, batch[i].Second, (float)similarities[i]);
            }
            ulong[] SetOf(DocumentKey key) => sets.GetOrAdd(key, one => Shingles.Set(corpus.Read(one).Text.Span, options.Ngram));
        }
        corpus.Note("candidate pairs", candidates);
        corpus.Note("verified pairs", verified);
        using var removals = new Removals(corpus, corpus.Memory / 4);
        clusters.Reduce(corpus, options.Prefer, options.Score, removals);
        removals.Write(decisions);
    }

    /// <inheritdoc/>
    public FilterResult Apply(Document document, ReadOnlySpan<byte> decision) => FilterResult.Reject("near-duplicate", Encoding.UTF8.GetString(decision));

    private ExternalSorter<Pair> Candidates(ICorpus corpus)
    {
        using var bands = new ExternalSorter<Entry>(corpus.Scratch, "bands", corpus.Memory / 2);
        foreach (var (key, sketch) in corpus.Sketches())
        {
            var salt = options.Scope == DuplicateScope.Source ? WordHash.Mix((ulong)corpus.SourceOf(key) + 1) : 0;
            foreach (var band in MemoryMarshal.Cast<byte, ulong>(sketch.Span)) bands.Add(new Entry(band ^ salt, key));
        }
        var pairs = new ExternalSorter<Pair>(corpus.Scratch, "pairs", corpus.Memory / 4);
        var group = new List<DocumentKey>();
        var first = default(DocumentKey);
        var previous = default(Entry?);
        // Groups may be of any size, so only the first members are held.
        foreach (var entry in bands.Sorted())
        {
            if (previous?.Band != entry.Band)
            {
                group.Clear();
                first = entry.Key;
            }
            else if (previous?.Key != entry.Key)
            {
                if (group.Count < AllPairs)
                {
                    foreach (var member in group) pairs.Add(new Pair(member, entry.Key));
                }
                else
                {
                    pairs.Add(new Pair(first, entry.Key));
                    if (previous!.Value.Key != first) pairs.Add(new Pair(previous.Value.Key, entry.Key));
                }
            }
            if (group.Count < AllPairs) group.Add(entry.Key);
            previous = entry;
        }
        return pairs;
    }

    private static IEnumerable<Pair> Distinct(IEnumerable<Pair> sorted)
    {
        Pair? last = null;
        foreach (var pair in sorted)
        {
            if (pair == last) continue;
            last = pair;
            yield return pair;
        }
    }
}
