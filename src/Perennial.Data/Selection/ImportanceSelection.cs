using System.Buffers;
using System.ComponentModel.DataAnnotations;
using System.Runtime.InteropServices;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Filters;
using Perennial.Data.Preparation;
using Perennial.Data.Text;

namespace Perennial.Data.Selection;

/// <summary>Options of <see cref="ImportanceSelection"/>.</summary>
public sealed record ImportanceOptions : IReadsFiles
{
    /// <summary>Text like what is wanted: files, folders or globs.</summary>
    [MinLength(1)]
    public required IReadOnlyList<string> Target { get; init; }

    /// <summary>Share of the documents that is kept.</summary>
    [Range(0.0, 1.0)]
    public double Keep { get; init; } = 0.5;

    /// <summary>Hash buckets of words and pairs of words.</summary>
    [Range(100, 65_536)]
    public int Buckets { get; init; } = 10_000;

    /// <summary>Whether documents are drawn (Gumbel noise on the logarithm of the weight) or simply the heaviest taken.</summary>
    public bool Draw { get; init; } = true;

    /// <inheritdoc/>
    public IEnumerable<string> Files() => Target;
}

/// <summary>
/// Selects documents like a target by importance weights of hashed n-grams (DSIR: Xie et al., NeurIPS 2023): a weight is the
/// likelihood under the target's bag of n-grams over that under the corpus's, and documents are drawn without replacement by it.
/// </summary>
/// <param name="options">Target and share.</param>
/// <param name="context">The run's seed, key of the draws.</param>
[Component("importance")]
public sealed class ImportanceSelection(ImportanceOptions options, FilterContext context) : ICorpusFilter
{
    private readonly Lazy<double[]> target = new(() =>
    {
        var counts = new long[options.Buckets];
        var buckets = new List<ushort>();
        foreach (var document in ReferenceText.Read(options.Target))
        {
            Count(document.Text.Span, options.Buckets, buckets);
            foreach (var bucket in buckets) counts[bucket]++;
        }
        return Logarithms(counts);
    });

    private readonly record struct Entry(double Key, double Weight, DocumentKey Document) : IComparable<Entry>
    {
        // Heaviest first.
        public int CompareTo(Entry other) => Key != other.Key ? other.Key.CompareTo(Key) : Document.CompareTo(other.Document);
    }

    private readonly record struct Drop(DocumentKey Key) : IComparable<Drop>
    {
        public int CompareTo(Drop other) => Key.CompareTo(other.Key);
    }

    /// <inheritdoc/>
    public void Sketch(Document document, IBufferWriter<byte> sketch)
    {
        ArgumentNullException.ThrowIfNull(document);
        ArgumentNullException.ThrowIfNull(sketch);
        var buckets = new List<ushort>();
        Count(document.Text.Span, options.Buckets, buckets);
        var bytes = MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(buckets));
        sketch.Write(bytes.IsEmpty ? [0xFF, 0xFF] : bytes);
    }

    /// <inheritdoc/>
    public void Decide(ICorpus corpus, IDecisions decisions)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        ArgumentNullException.ThrowIfNull(decisions);
        var counts = new long[options.Buckets];
        foreach (var (_, sketch) in corpus.Sketches())
        {
            foreach (var bucket in MemoryMarshal.Cast<byte, ushort>(sketch.Span))
            {
                if (bucket < counts.Length) counts[bucket]++;
            }
        }
        var (raw, wanted) = (Logarithms(counts), target.Value);
        using var sorter = new ExternalSorter<Entry>(corpus.Scratch, "weights", corpus.Memory / 2);
        foreach (var (key, sketch) in corpus.Sketches())
        {
            var weight = 0.0;
            foreach (var bucket in MemoryMarshal.Cast<byte, ushort>(sketch.Span)) weight += bucket < counts.Length ? wanted[bucket] - raw[bucket] : 0;
            var noise = options.Draw ? -Math.Log(-Math.Log(Philox.Uniform(context.Seed, RandomPurpose.Corruption, key.Value & 0xFFFF_FFFF_FFFF, 0xD51) + 1e-300)) : 0;
            sorter.Add(new Entry(weight + noise, weight, key));
        }
        var keep = (long)Math.Round(options.Keep * sorter.Count);
        using var drops = new ExternalSorter<Drop>(corpus.Scratch, "drops", corpus.Memory / 4);
        var rank = 0L;
        foreach (var entry in sorter.Sorted())
        {
            if (rank++ >= keep) drops.Add(new Drop(entry.Document));
            else corpus.Note("least weight kept", entry.Weight);
        }
        foreach (var drop in drops.Sorted()) decisions.Add(drop.Key, []);
    }

    /// <inheritdoc/>
    public FilterResult Apply(Document document, ReadOnlySpan<byte> decision) => FilterResult.Reject("unlike the target");

    private static void Count(ReadOnlySpan<byte> text, int count, List<ushort> into)
    {
        into.Clear();
        var words = new NormalWords(text);
        var before = 0UL;
        while (words.Next(out var word))
        {
            into.Add((ushort)((word >> 16) % (ulong)count));
            if (before != 0) into.Add((ushort)((WordHash.Mix(before * 3 + word) >> 16) % (ulong)count));
            before = word;
        }
    }

    private static double[] Logarithms(long[] counts)
    {
        // Additive smoothing, so that a bucket that one side lacks is not infinitely heavy.
        var total = counts.Sum() + counts.Length;
        return Array.ConvertAll(counts, count => Math.Log((count + 1.0) / total));
    }
}
