using System.Buffers;
using System.Buffers.Binary;
using System.ComponentModel.DataAnnotations;
using System.Text;
using Perennial.Core;
using Perennial.Data.Curation;

namespace Perennial.Data.Selection;

/// <summary>Options of <see cref="ScoreBand"/>.</summary>
public sealed record ScoreBandOptions : IValidatedOptions
{
    /// <summary>The score, such as <c>perplexity</c> or <c>quality</c>.</summary>
    public required string Score { get; init; }

    /// <summary>Lower end of the band, as a share of the documents sorted by score.</summary>
    [Range(0.0, 1.0)]
    public double From { get; init; }

    /// <summary>Upper end of the band.</summary>
    [Range(0.0, 1.0)]
    public double Through { get; init; } = 1;

    /// <summary>Whether every source has a band of its own (a global cut would take whole sources away).</summary>
    public bool PerSource { get; init; } = true;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (From >= Through) yield return ("from", "must be less than through");
    }
}

/// <summary>Keeps the documents whose score lies between two shares of all: <c>from: 0.1, through: 0.8</c> drops the lowest tenth and the highest fifth.</summary>
/// <param name="options">Score and band.</param>
[Component("band")]
public sealed class ScoreBand(ScoreBandOptions options) : ICorpusFilter
{
    private readonly record struct Entry(int Source, double Score, DocumentKey Key) : IComparable<Entry>
    {
        public int CompareTo(Entry other) => Source != other.Source ? Source.CompareTo(other.Source) : Score != other.Score ? Score.CompareTo(other.Score) : Key.CompareTo(other.Key);
    }

    private readonly record struct Drop(DocumentKey Key, bool Above) : IComparable<Drop>
    {
        public int CompareTo(Drop other) => Key.CompareTo(other.Key);
    }

    /// <inheritdoc/>
    public void Sketch(Document document, IBufferWriter<byte> sketch)
    {
        ArgumentNullException.ThrowIfNull(document);
        ArgumentNullException.ThrowIfNull(sketch);
        if (!document.Scores.TryGetValue(options.Score, out var score))
            throw PerennialException.Usage($"band: a document of {document.Origin.Path} has no score '{options.Score}'; put the operator that gives it before the band");
        BinaryPrimitives.WriteDoubleLittleEndian(sketch.GetSpan(8), double.IsNaN(score) ? double.PositiveInfinity : score);
        sketch.Advance(8);
    }

    /// <inheritdoc/>
    public void Decide(ICorpus corpus, IDecisions decisions)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        ArgumentNullException.ThrowIfNull(decisions);
        using var sorter = new ExternalSorter<Entry>(corpus.Scratch, "scores", corpus.Memory / 2);
        var counts = new Dictionary<int, long>();
        foreach (var (key, sketch) in corpus.Sketches())
        {
            var source = options.PerSource ? corpus.SourceOf(key) : 0;
            counts[source] = counts.GetValueOrDefault(source) + 1;
            sorter.Add(new Entry(source, BinaryPrimitives.ReadDoubleLittleEndian(sketch.Span), key));
        }
        using var drops = new ExternalSorter<Drop>(corpus.Scratch, "drops", corpus.Memory / 4);
        var (present, rank) = (-1, 0L);
        foreach (var entry in sorter.Sorted())
        {
            (present, rank) = entry.Source == present ? (present, rank + 1) : (entry.Source, 0);
            // The middle of a document's place decides, so that bands that meet share no document and lose none.
            var share = (rank + 0.5) / counts[entry.Source];
            if (share < options.From || share >= options.Through) drops.Add(new Drop(entry.Key, share >= options.Through));
            else corpus.Note(options.PerSource ? $"highest kept of source {entry.Source}" : "highest kept", entry.Score);
        }
        foreach (var drop in drops.Sorted()) decisions.Add(drop.Key, drop.Above ? "above"u8 : "below"u8);
    }

    /// <inheritdoc/>
    public FilterResult Apply(Document document, ReadOnlySpan<byte> decision) =>
        FilterResult.Reject($"{options.Score} {Encoding.UTF8.GetString(decision)} the band", $"{document?.Scores.GetValueOrDefault(options.Score)}");

}
