using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;
using Perennial.Core;
using Perennial.Data.Curation;
using Perennial.Data.Text;

namespace Perennial.Data.Deduplication;

/// <summary>Options of <see cref="ExactDedup"/>.</summary>
public sealed record ExactDedupOptions
{
    /// <summary>Whether case, digits, punctuation and white space make no difference.</summary>
    public bool Normalize { get; init; } = true;

    /// <summary>Which documents are compared.</summary>
    public DuplicateScope Scope { get; init; } = DuplicateScope.Corpus;
}

/// <summary>Removes documents whose text is the same as an earlier one's (XXH128 over the words, or over the bytes).</summary>
/// <param name="options">What counts as the same.</param>
[Component("exact-dedup")]
public sealed class ExactDedup(ExactDedupOptions options) : ICorpusFilter
{
    private readonly record struct Entry(ulong High, ulong Low, DocumentKey Key) : IComparable<Entry>
    {
        public bool IsSame(Entry other) => High == other.High && Low == other.Low;

        public int CompareTo(Entry other) => High != other.High ? High.CompareTo(other.High) : Low != other.Low ? Low.CompareTo(other.Low) : Key.CompareTo(other.Key);
    }

    /// <inheritdoc/>
    public void Sketch(Document document, IBufferWriter<byte> sketch)
    {
        ArgumentNullException.ThrowIfNull(document);
        ArgumentNullException.ThrowIfNull(sketch);
        var hash = options.Normalize ? Words(document.Text.Span) : XxHash128.HashToUInt128(document.Text.Span);
        BinaryPrimitives.WriteUInt128LittleEndian(sketch.GetSpan(16), hash);
        sketch.Advance(16);
    }

    /// <inheritdoc/>
    public void Decide(ICorpus corpus, IDecisions decisions)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        using var sorter = new ExternalSorter<Entry>(corpus.Scratch, "hashes", corpus.Memory / 2);
        foreach (var (key, sketch) in corpus.Sketches())
        {
            var hash = BinaryPrimitives.ReadUInt128LittleEndian(sketch.Span);
            if (options.Scope == DuplicateScope.Source) hash ^= (UInt128)(ulong)(corpus.SourceOf(key) + 1) * 0x9E3779B97F4A7C15;
            sorter.Add(new Entry((ulong)(hash >> 64), (ulong)hash, key));
        }
        using var removals = new Removals(corpus, corpus.Memory / 2);
        Entry? first = null;
        foreach (var entry in sorter.Sorted())
        {
            if (first is { } keeper && keeper.IsSame(entry)) removals.Add(entry.Key, keeper.Key);
            else first = entry;
        }
        removals.Write(decisions);
    }

    /// <inheritdoc/>
    public FilterResult Apply(Document document, ReadOnlySpan<byte> decision) => FilterResult.Reject("exact duplicate", Encoding.UTF8.GetString(decision));

    private static UInt128 Words(ReadOnlySpan<byte> text)
    {
        var hash = new XxHash128();
        Span<byte> batch = stackalloc byte[1024];
        var (filled, any) = (0, false);
        var words = new NormalWords(text);
        while (words.Next(out var word))
        {
            any = true;
            BinaryPrimitives.WriteUInt64LittleEndian(batch[filled..], word);
            filled += 8;
            if (filled < batch.Length) continue;
            hash.Append(batch);
            filled = 0;
        }
        hash.Append(batch[..filled]);
        // A text without a word is only like itself.
        return any ? hash.GetCurrentHashAsUInt128() : XxHash128.HashToUInt128(text);
    }
}
