using Perennial.Core;

namespace Perennial.Resilience.Simulation;

/// <summary>
/// A sequence of random draws under one Philox key: the same (seed, item) gives the same sequence on every machine. Not for use by two threads.
/// </summary>
/// <param name="seed">The study's seed.</param>
/// <param name="item">Which sequence, below 2^48. Two sequences with different items are independent.</param>
/// <param name="mirrored">Gives 1 − u for every u of the plain sequence: the antithetic partner, for Monte Carlo with less variance.</param>
public sealed class RandomStream(ulong seed, ulong item, bool mirrored = false)
{
    private ulong index;
    private ulong kept;
    private bool hasKept;

    /// <summary>A uniform draw in (0, 1): never 0, so that its logarithm is finite.</summary>
    public double Uniform()
    {
        ulong bits;
        if (hasKept) (bits, hasKept) = (kept, false);
        else
        {
            // The counter of Philox.Bits, but all 128 bits of the block are used.
            var (x0, x1, x2, x3) = Philox.Block((uint)index, (uint)item, (uint)(item >> 32) << 16 | (ushort)(index >> 32), (uint)RandomPurpose.Statistics, (uint)seed, (uint)(seed >> 32));
            index++;
            (bits, kept, hasKept) = ((ulong)x1 << 32 | x0, (ulong)x3 << 32 | x2, true);
        }
        var draw = ((bits >> 12) + 0.5) * (1.0 / (1UL << 52));
        return mirrored ? 1 - draw : draw;
    }

    /// <summary>A whole number in [0, <paramref name="count"/>).</summary>
    public long Below(long count) => Math.Min(count - 1, (long)(Uniform() * count));

    /// <summary>An exponential draw of mean 1.</summary>
    public double Exponential() => -Math.Log(Uniform());

    /// <summary>A standard normal draw (Box-Muller, the sine half, which changes its sign when mirrored).</summary>
    public double Normal() => Math.Sqrt(-2 * Math.Log(Uniform())) * Math.Sin(2 * Math.PI * Uniform());

    /// <summary>A gamma draw of scale 1 (Marsaglia and Tsang 2000; shapes below 1 by their power of a uniform).</summary>
    /// <param name="shape">Shape, above 0; also the mean.</param>
    public double Gamma(double shape)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(shape);
        if (shape < 1) return Gamma(shape + 1) * Math.Pow(Uniform(), 1 / shape);
        var d = shape - 1.0 / 3;
        var c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            var x = Normal();
            var v = 1 + c * x;
            if (v <= 0) continue;
            v = v * v * v;
            if (Math.Log(Uniform()) < 0.5 * x * x + d - d * v + d * Math.Log(v)) return d * v;
        }
    }

    /// <summary>A beta draw.</summary>
    public double Beta(double a, double b)
    {
        var x = Gamma(a);
        return x / (x + Gamma(b));
    }

    /// <summary>A draw of mean 1 whose logarithm is normal; 1 exactly when <paramref name="sigma"/> is 0.</summary>
    /// <param name="sigma">Standard deviation of the logarithm.</param>
    public double LogNormal(double sigma) => sigma <= 0 ? 1 : Math.Exp(sigma * Normal() - sigma * sigma / 2);
}
