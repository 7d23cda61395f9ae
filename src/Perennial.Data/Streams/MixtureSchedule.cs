using Perennial.Data.Orders;

namespace Perennial.Data.Streams;

/// <summary>
/// Which source the sample at a position comes from, and how many of that source came before: a pure function of (weights,
/// seed, position). Positions are dealt in blocks of 1,024. In block b the sources lie one after another on a line of length
/// 1, each as long as its share; the 1,024 points (j + u_b) / 1,024 fall on them (systematic sampling), so every block gives
/// every source its share rounded down or up; u_b is the b-th point of <see cref="RadicalInverse"/>, so that over n blocks the
/// roundings cancel to within log2(n)/3 + 1 samples and the samples given before a block are counted without a loop over
/// blocks. Inside a block the sources are permuted by key; ranks rise with the position, so that orders stay orders.
/// </summary>
public sealed class MixtureSchedule
{
    /// <summary>Positions a block, unless a schedule has other ones.</summary>
    public const int Block = 1024;

    // A longer block would not fit the fixed-point bounds.
    private const int LargestBlock = 1 << 20;

    // Distinguishes these permutations from those of sample orders, whose tweak holds the source number here.
    private const ulong Tweak = 0xFFFFUL << 48;
    private const long Fraction = (1L << RadicalInverse.Bits) - 1;

    private readonly ulong seed;
    private readonly int size;
    private readonly long firstBlock;
    private readonly long[] bounds; // cumulative shares of a block in 2^-40 samples, [sources + 1]
    private readonly int only;
    private BlockTable? recent;

    /// <summary>Makes the schedule.</summary>
    /// <param name="weights">Relative weights, at least 0, one of them above.</param>
    /// <param name="seed">Key.</param>
    /// <param name="block">Positions a block.</param>
    /// <param name="firstBlock">Number of the block that position 0 begins: a schedule that goes on from another continues its roundings.</param>
    public MixtureSchedule(IReadOnlyList<double> weights, ulong seed, int block = Block, long firstBlock = 0)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentOutOfRangeException.ThrowIfLessThan(block, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(block, LargestBlock);
        ArgumentOutOfRangeException.ThrowIfNegative(firstBlock);
        (this.seed, size, this.firstBlock) = (seed, block, firstBlock);
        var total = weights.Sum();
        if (!(total > 0) || !double.IsFinite(total) || weights.Any(weight => weight < 0)) throw new ArgumentException("weights must be at least 0, finite, and one of them above 0", nameof(weights));
        bounds = new long[weights.Count + 1];
        var sum = 0.0;
        for (var i = 0; i < weights.Count; i++)
        {
            sum += weights[i];
            // Trailing sources without weight share the end of the line: they get no rounding of the last one.
            bounds[i + 1] = weights.Skip(i + 1).All(weight => weight == 0) ? (long)block << RadicalInverse.Bits : (long)Math.Round(sum / total * block * (1L << RadicalInverse.Bits));
        }
        only = weights.Count(weight => weight > 0) == 1 ? weights.ToList().FindIndex(weight => weight > 0) : -1;
    }

    /// <summary>Whether a source gives any sample.</summary>
    public bool Gives(int source) => only >= 0 ? source == only : bounds[source] < bounds[source + 1];

    /// <summary>The source of a position, and the number of that source's samples before it.</summary>
    public (int Source, long Rank) At(long position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        if (only >= 0) return (only, position);
        var table = Table(position / size);
        var slot = (int)(position % size);
        return (table.Sources[slot], table.Ranks[slot]);
    }

    /// <summary>How many samples of a source are among the first <paramref name="positions"/>.</summary>
    public long Delivered(int source, long positions)
    {
        if (only >= 0) return source == only ? positions : 0;
        var (block, rest) = (positions / size, (int)(positions % size));
        return Quota(source, block) + (rest == 0 ? 0 : Table(block).Sources.AsSpan(0, rest).Count(source));
    }

    /// <summary>The first block end by which a source has given at least <paramref name="samples"/> samples; the source must have weight.</summary>
    public long PositionAfter(int source, long samples)
    {
        if (source == only) return samples;
        if (bounds[source] == bounds[source + 1]) throw new ArgumentException("the source has no weight", nameof(source));
        var (low, high) = (0L, 1L);
        while (Quota(source, high) < samples) high *= 2;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (Quota(source, middle) >= samples) high = middle;
            else low = middle + 1;
        }
        return low * size;
    }

    private long Quota(int source, long blocks) => Below(source + 1, blocks) - Below(source, blocks);

    /// <summary>Samples of all sources before a bound within n blocks from the first.</summary>
    private long Below(int bound, long blocks) => blocks * (bounds[bound] >> RadicalInverse.Bits) + Points(blocks, bounds[bound] & Fraction);

    private long Points(long blocks, long bound) => RadicalInverse.CountBelow(firstBlock + blocks, bound) - (firstBlock == 0 ? 0 : RadicalInverse.CountBelow(firstBlock, bound));

    private BlockTable Table(long block)
    {
        // Reads run forward, so that the latest block answers nearly all of them. The table is a pure value: a lost race costs time only.
        if (Volatile.Read(ref recent) is { } table && table.Block == block) return table;
        var sorted = new int[size];
        var next = new long[bounds.Length - 1];
        for (int source = 0, slot = 0; source < next.Length; source++)
        {
            next[source] = Quota(source, block);
            var count = (int)(Quota(source, block + 1) - next[source]);
            sorted.AsSpan(slot, count).Fill(source);
            slot += count;
        }
        var permutation = new Permutation(size, seed, Tweak | (ulong)(firstBlock + block));
        var made = new BlockTable(block, new int[size], new long[size]);
        for (var position = 0; position < size; position++)
        {
            var source = sorted[permutation[position]];
            (made.Sources[position], made.Ranks[position]) = (source, next[source]++);
        }
        Volatile.Write(ref recent, made);
        return made;
    }

    private sealed record BlockTable(long Block, int[] Sources, long[] Ranks);
}
