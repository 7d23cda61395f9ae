using Perennial.Data.Orders;

namespace Perennial.Data.Streams;

/// <summary>
/// Which source the sample at a position comes from, and how many of that source came before: both in O(sources).
/// Positions are dealt in blocks; among the first n blocks a source has exactly floor-cumulative quotas, so delivered
/// shares are within one sample of the promised ones at every block end; inside a block the sources are permuted by key.
/// </summary>
/// <param name="weights">Relative weights.</param>
/// <param name="seed">Key.</param>
public sealed class MixtureSchedule(IReadOnlyList<double> weights, ulong seed)
{
    /// <summary>Positions a block.</summary>
    public const int Block = 1024;

    // Distinguishes these permutations from those of sample orders, whose tweak holds the source number here.
    private const ulong Tweak = 0xFFFFUL << 48;
    private readonly double[] cumulative = Cumulate(weights);

    /// <summary>The source of a position, and the number of that source's samples before it.</summary>
    public (int Source, long Rank) At(long position)
    {
        if (weights.Count == 1) return (0, position);
        var block = position / Block;
        var slot = new Permutation(Block, seed, Tweak | (ulong)block)[position % Block];
        for (var source = 0; ; source++)
        {
            var before = Quota(source, block);
            var inBlock = Quota(source, block + 1) - before;
            if (slot < inBlock) return (source, before + slot);
            slot -= inBlock;
        }
    }

    /// <summary>How many samples of a source are among the first n positions.</summary>
    public long Delivered(int source, long positions)
    {
        if (weights.Count == 1) return positions;
        var (block, rest) = (positions / Block, positions % Block);
        var count = Quota(source, block);
        for (var i = 0L; i < rest; i++)
        {
            if (At(block * Block + i).Source == source) count++;
        }
        return count;
    }

    /// <summary>The first block end by which a source has given at least n samples.</summary>
    public long PositionAfter(int source, long samples)
    {
        if (weights.Count == 1) return samples;
        var (low, high) = (0L, 1L);
        while (Quota(source, high) < samples) high *= 2;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (Quota(source, middle) >= samples) high = middle;
            else low = middle + 1;
        }
        return low * Block;
    }

    private long Quota(int source, long blocks) =>
        (long)Math.Floor(blocks * Block * cumulative[source + 1]) - (long)Math.Floor(blocks * Block * cumulative[source]);

    private static double[] Cumulate(IReadOnlyList<double> weights)
    {
        var total = weights.Sum();
        var sums = new double[weights.Count + 1];
        for (var i = 0; i < weights.Count; i++) sums[i + 1] = sums[i] + weights[i] / total;
        sums[^1] = 1;
        // Trailing sources without weight must not receive the rounding of the last one.
        for (var i = weights.Count - 1; i > 0 && weights[i] == 0; i--) sums[i] = 1;
        return sums;
    }
}
