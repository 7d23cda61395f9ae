using System.ComponentModel.DataAnnotations;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using Perennial.Core;

namespace Perennial.Data.Orders;

/// <summary>Options of <see cref="CurriculumOrder"/>.</summary>
public sealed record CurriculumOrderOptions
{
    /// <summary>The document score that windows are sorted by.</summary>
    public string By { get; init; } = "quality";

    /// <summary>Which end comes first.</summary>
    public CurriculumDirection Direction { get; init; } = CurriculumDirection.Ascending;

    /// <summary>Stretch of the sorted order within which windows are shuffled, a share of all windows: neighbours of like score are not read in file order.</summary>
    [Range(0.0, 1.0)]
    public double Window { get; init; } = 0.01;

    /// <summary>
    /// Windows that the run reads of the source, so that the last ones it reads are the best (or worst) of all: the order sorts those that
    /// <c>shuffled</c> would read first with the same seed, then the rest. 0 sorts the whole source, for runs of whole epochs.
    /// </summary>
    [Range(0, long.MaxValue)]
    public Count Span { get; init; }

    /// <summary>Bands of equal size that the sorted windows are cut into (<c>banded</c> and <c>interleaved</c>; ignored otherwise).</summary>
    [Range(2, 100_000)]
    public int Bands { get; init; } = 4;

    /// <summary>Number of random parts that are each sorted on their own and read one after the other; 1 sorts everything once.</summary>
    [Range(1, 1000)]
    public int Folds { get; init; } = 1;
}

/// <summary>Which end of a score comes first.</summary>
public enum CurriculumDirection
{
    /// <summary>Lowest first.</summary>
    Ascending,

    /// <summary>Highest first.</summary>
    Descending,

    /// <summary>Band after band, lowest first; shuffled inside a band.</summary>
    Banded,

    /// <summary>One window of every band in turn, each band lowest first: every stretch covers the whole range of the score.</summary>
    Interleaved,
}

/// <summary>
/// Reads windows in the order of a score: a pure function of (scores, seed, position). The order is made once and frozen; ties are
/// broken by a keyed hash, never by file order.
/// </summary>
/// <remarks>
/// Each source is sorted by itself and a mixture reads its sources at constant weights, so several domains keep their shares along
/// the run: no score difference between domains turns the order into a domain curriculum. The stream's fingerprint covers scores,
/// options and seed, so a resume with other scores is refused instead of being sorted anew.
/// </remarks>
[Component("curriculum")]
public sealed class CurriculumOrder : ISampleOrder
{
    private readonly long[] sorted;
    private readonly long split;
    private readonly long block;
    private readonly ulong seed;
    private readonly ulong source;

    /// <summary>Sorts the windows of a source.</summary>
    /// <param name="options">By what.</param>
    /// <param name="context">The source and its scores.</param>
    /// <exception cref="PerennialException">Exit 2: the documents have no such score.</exception>
    public CurriculumOrder(CurriculumOrderOptions options, OrderContext context)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(context);
        (seed, source) = (context.Seed, (ulong)context.Source);
        var scores = context.Scores(options.By);
        var sign = options.Direction == CurriculumDirection.Descending ? -1 : 1;
        // The windows that the shuffled order sees first, so that the two orders can be compared on the same samples.
        var span = options.Span > 0 ? Math.Min(options.Span, context.Windows) : context.Windows;
        var inside = new bool[context.Windows];
        if (span == context.Windows) Array.Fill(inside, true);
        else for (var position = 0L; position < span; position++) inside[new ShuffledOrder(context).Window(0, position)] = true;
        var keyed = Enumerable.Range(0, checked((int)context.Windows)).Select(window => (
            Window: (long)window,
            // A score that is not a number has no place in an order: it comes first either way.
            Score: double.IsNaN(scores[window]) ? double.NegativeInfinity : sign * scores[window],
            Tie: Philox.Bits(seed, RandomPurpose.SampleOrder, 1UL << 47 | source, (ulong)window)));
        // The tie key is random and independent of the score: dealing by it makes folds that are random parts.
        var folds = (ulong)options.Folds;
        sorted = [.. keyed.OrderBy(entry => inside[entry.Window] ? 0 : 1).ThenBy(entry => folds == 1 ? 0 : entry.Tie % folds).ThenBy(entry => entry.Score).ThenBy(entry => entry.Tie).Select(entry => entry.Window)];
        split = span;
        block = options.Direction == CurriculumDirection.Banded ? (span + options.Bands - 1) / options.Bands : Math.Max(1, (long)Math.Round(options.Window * span));
        if (options.Direction == CurriculumDirection.Interleaved)
        {
            // Bands are interleaved as they stand: shuffling stretches would undo nothing and mix what is mixed.
            block = 1;
            sorted = [.. Interleave(sorted[..(int)split], options.Bands), .. Interleave(sorted[(int)split..], options.Bands)];
        }
        Hash = Convert.ToHexStringLower(XxHash128.Hash(MemoryMarshal.AsBytes(sorted.AsSpan())));
    }

    /// <summary>The r-th of every band, for r = 0, 1 …; the last bands may be shorter.</summary>
    private static IEnumerable<long> Interleave(long[] ascending, int bands)
    {
        var size = (ascending.Length + bands - 1) / bands;
        for (var rank = 0; rank < size; rank++)
        {
            for (var place = rank; place < ascending.Length; place += size) yield return ascending[place];
        }
    }

    /// <summary>XXH128 of the sorted order, hex: equal hashes mean an equal order.</summary>
    public string Hash { get; }

    /// <inheritdoc/>
    public long Window(long epoch, long position)
    {
        // Blocks begin anew after the span, so that none reaches across its end.
        var (from, until) = position < split ? (0L, split) : (split, (long)sorted.Length);
        var start = from + (position - from) / block * block;
        var length = Math.Min(block, until - start);
        if (length == 1) return sorted[position];
        // Blocks and epochs have permutations of their own.
        var tweak = (source + 1) << 48 ^ (ulong)epoch << 32 ^ (ulong)start;
        return sorted[start + new Permutation(length, seed ^ 0x5DEECE66DUL, tweak)[position - start]];
    }
}
