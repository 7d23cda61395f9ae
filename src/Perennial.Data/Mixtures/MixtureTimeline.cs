using Perennial.Data.Streams;

namespace Perennial.Data.Mixtures;

/// <summary>
/// Which source every position belongs to while weights change: a chain of <see cref="MixtureSchedule"/>s, each with the samples that each
/// source gave before it. Blocks are numbered through, so that roundings cancel over many short stretches: a source of small weight is not
/// starved. Reading is thread-safe; adding is not.
/// </summary>
/// <param name="sources">Number of sources.</param>
/// <param name="seed">Key.</param>
public sealed class MixtureTimeline(int sources, ulong seed)
{
    private readonly List<Stretch> stretches = [];
    private int recent;

    /// <summary>Position behind the last one that is decided.</summary>
    public long End => stretches.Count == 0 ? 0 : stretches[^1].Segment.Until;

    /// <summary>The stretches so far.</summary>
    public IReadOnlyList<MixtureSegment> Segments => [.. stretches.Select(stretch => stretch.Segment)];

    /// <summary>Appends a stretch; it must begin at <see cref="End"/>.</summary>
    /// <exception cref="ArgumentException">It does not, is empty, or its weights are not weights.</exception>
    public void Add(MixtureSegment segment)
    {
        ArgumentNullException.ThrowIfNull(segment);
        if (segment.From != End || segment.Until <= segment.From) throw new ArgumentException($"a stretch {segment.From} … {segment.Until} cannot follow position {End}", nameof(segment));
        if (segment.Weights.Count != sources) throw new ArgumentException($"{segment.Weights.Count} weights for {sources} sources", nameof(segment));
        var length = segment.Until - segment.From;
        // Equal blocks, none above the usual length, so that every block of a short stretch is dealt in full.
        var block = segment.Until == long.MaxValue ? MixtureSchedule.Block : (int)((length + BlocksOf(length) - 1) / BlocksOf(length));
        var first = stretches.Count == 0 ? 0 : stretches[^1].FirstBlock + stretches[^1].Blocks;
        stretches.Add(new Stretch(segment, new MixtureSchedule(segment.Weights, seed, block, first), first, segment.Until == long.MaxValue ? 0 : (length + block - 1) / block, Delivered(segment.From)));
    }

    /// <summary>Forgets every stretch.</summary>
    public void Clear()
    {
        stretches.Clear();
        Volatile.Write(ref recent, 0);
    }

    /// <summary>The source of a position, and the number of that source's samples before it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The position is not decided yet.</exception>
    public (int Source, long Rank) At(long position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(position, End);
        var stretch = Find(position);
        var (source, rank) = stretch.Schedule.At(position - stretch.Segment.From);
        return (source, stretch.Before[source] + rank);
    }

    /// <summary>Samples of each source among the first <paramref name="positions"/>, <c>[sources]</c>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">They are not all decided yet.</exception>
    public IReadOnlyList<long> Delivered(long positions)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(positions, End);
        if (positions == 0) return new long[sources];
        var stretch = Find(positions - 1);
        return [.. Enumerable.Range(0, sources).Select(source => stretch.Before[source] + stretch.Schedule.Delivered(source, positions - stretch.Segment.From))];
    }

    /// <summary>Samples that the decided weights promise each source among the first <paramref name="positions"/>, <c>[sources]</c>.</summary>
    public IReadOnlyList<double> Promised(long positions)
    {
        var promised = new double[sources];
        foreach (var (segment, _, _, _, _) in stretches.TakeWhile(stretch => stretch.Segment.From < positions))
        {
            var (count, total) = (Math.Min(positions, segment.Until) - segment.From, segment.Weights.Sum());
            for (var source = 0; source < sources; source++) promised[source] += count * (segment.Weights[source] / total);
        }
        return promised;
    }

    /// <summary>The schedule of the first stretch.</summary>
    internal MixtureSchedule First => stretches[0].Schedule;

    private static long BlocksOf(long length) => (length + MixtureSchedule.Block - 1) / MixtureSchedule.Block;

    private Stretch Find(long position)
    {
        // Reads run forward: the stretch of the last read answers nearly all of them.
        var index = Volatile.Read(ref recent);
        if (index >= stretches.Count || position < stretches[index].Segment.From || position >= stretches[index].Segment.Until)
        {
            var (low, high) = (0, stretches.Count - 1);
            while (low < high)
            {
                var middle = (low + high + 1) / 2;
                if (stretches[middle].Segment.From <= position) low = middle;
                else high = middle - 1;
            }
            Volatile.Write(ref recent, index = low);
        }
        return stretches[index];
    }

    private sealed record Stretch(MixtureSegment Segment, MixtureSchedule Schedule, long FirstBlock, long Blocks, IReadOnlyList<long> Before);
}
