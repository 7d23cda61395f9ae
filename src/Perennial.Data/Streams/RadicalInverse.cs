namespace Perennial.Data.Streams;

/// <summary>
/// The van der Corput sequence in base 2 (bits of the index mirrored behind the point), in 40-bit fixed point: any prefix is
/// spread evenly, and how many of its points lie below a bound is known without visiting them (the local discrepancy that
/// Niederreiter, "Random Number Generation and Quasi-Monte Carlo Methods", 1992, section 3.1, bounds by log2(n)/3 + 1).
/// </summary>
internal static class RadicalInverse
{
    /// <summary>Bits of the fixed-point values.</summary>
    public const int Bits = 40;

    /// <summary>How many of the first <paramref name="count"/> points lie below <paramref name="bound"/> / 2^40.</summary>
    public static long CountBelow(long count, long bound)
    {
        var below = (count >> Bits) * bound;
        long offset = 0;
        for (var k = Bits - 1; k >= 0; k--)
        {
            if ((count >> k & 1) == 0) continue;
            // 2^k consecutive indices: their points are offset + m · 2^(40−k), m = 0 … 2^k − 1.
            var step = 1L << (Bits - k);
            if (bound > offset) below += Math.Min(1L << k, (bound - offset + step - 1) / step);
            offset |= 1L << (Bits - 1 - k);
        }
        return below;
    }
}
