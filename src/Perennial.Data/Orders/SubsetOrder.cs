using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Data.Orders;

/// <summary>Options of <see cref="SubsetOrder"/>.</summary>
public sealed record SubsetOrderOptions : IValidatedOptions
{
    /// <summary>Windows of the subset, a share of the source's; give this or <see cref="Windows"/>.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double? Share { get; init; }

    /// <summary>Windows of the subset (at most the source's).</summary>
    [Range(1, long.MaxValue)]
    public Count? Windows { get; init; }

    /// <summary>The document score that windows are chosen by; by a keyed hash, that is at random, when not given.</summary>
    public string? By { get; init; }

    /// <summary>Which end of the score is taken.</summary>
    public SubsetEnd Take { get; init; } = SubsetEnd.Lowest;

    /// <summary>The pool that every epoch draws its subset from anew, as a multiple of the subset: the best windows of the source. 1 reads the same windows every epoch.</summary>
    [Range(1.0, 1e9)]
    public double Pool { get; init; } = 1;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Share is null == Windows is null) yield return (Share is null ? "share" : "windows", "is needed: the size of the subset, as share or windows, one of them");
    }
}

/// <summary>Which end of a score is good.</summary>
public enum SubsetEnd
{
    /// <summary>Lowest first, as for a perplexity.</summary>
    Lowest,

    /// <summary>Highest first, as for a quality.</summary>
    Highest,
}

/// <summary>Reads a right-sized part of a source for several epochs instead of all of it once: random or the best by a score, the same every epoch or drawn anew from a pool of the best (Guo et al. 2024, arXiv 2406.14833, strategies I to III). Shuffled within every epoch.</summary>
[Component("subset")]
public sealed class SubsetOrder : ISampleOrder
{
    private const ulong Tweak = 0xFFFEUL << 48;
    private readonly long[] pool; // best first
    private readonly long length;
    private readonly ulong seed, source;

    /// <summary>Chooses the pool.</summary>
    /// <param name="options">How much, and by what.</param>
    /// <param name="context">The source and its scores.</param>
    /// <exception cref="PerennialException">Exit 2: the documents have no such score.</exception>
    public SubsetOrder(SubsetOrderOptions options, OrderContext context)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(context);
        (seed, source) = (context.Seed, (ulong)context.Source);
        length = Math.Clamp(options.Windows?.Value ?? (long)Math.Round(options.Share!.Value * context.Windows), 1, context.Windows);
        var count = (int)Math.Clamp((long)Math.Round(length * options.Pool), length, context.Windows);
        var scores = options.By is { } name ? context.Scores(name) : null;
        var sign = options.Take == SubsetEnd.Lowest ? 1 : -1;
        pool = [.. Enumerable.Range(0, checked((int)context.Windows)).Select(window => (
                Window: (long)window,
                // What has no score is nobody's best.
                Score: scores is null ? 0 : double.IsNaN(scores[window]) ? double.PositiveInfinity : sign * scores[window],
                Tie: Philox.Bits(seed, RandomPurpose.SampleOrder, 1UL << 46 | source, (ulong)window)))
            .OrderBy(entry => entry.Score).ThenBy(entry => entry.Tie).Take(count).Select(entry => entry.Window)];
    }

    /// <inheritdoc/>
    public long Length(long windows) => length;

    /// <inheritdoc/>
    public long Window(long epoch, long position) => pool[new Permutation(pool.Length, seed, Tweak ^ source << 32 ^ (ulong)epoch)[position]];
}
