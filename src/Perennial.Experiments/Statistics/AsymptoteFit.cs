using Perennial.Core;

namespace Perennial.Experiments.Statistics;

/// <summary>A power law with an asymptote: L(x) = E + A / x^α.</summary>
/// <param name="E">What is left at x → ∞; at least 0.</param>
/// <param name="A">Height of the part that falls; at least 0.</param>
/// <param name="Alpha">Its exponent, above 0.</param>
/// <param name="Residual">Root of the mean squared difference from the values it was fitted to.</param>
public readonly record struct PowerLaw(double E, double A, double Alpha, double Residual)
{
    /// <summary>L(x).</summary>
    public double At(double x) => E + A * Math.Pow(x, -Alpha);

    /// <summary>The x at which L(x) is a given value (data efficiency: how much of this recipe another one's loss is worth); infinite at or below E.</summary>
    public double Inverse(double value) => value <= E ? double.PositiveInfinity : Math.Pow(A / (value - E), 1 / Alpha);
}

/// <summary>Fits <see cref="PowerLaw"/> by least squares: for every α the best E and A follow in closed form, so the search is over α alone and finds the global best.</summary>
public static class AsymptoteFit
{
    private const double LeastAlpha = 0.01, MostAlpha = 8;
    private const int Grid = 400;

    /// <summary>Fits values at sizes.</summary>
    /// <param name="x">Sizes, above 0; at least three different ones.</param>
    /// <param name="y">Values, finite.</param>
    /// <exception cref="ArgumentException">Fewer than three different sizes: three numbers cannot be told from less.</exception>
    public static PowerLaw Of(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        if (x.Count != y.Count) throw new ArgumentException($"{x.Count} sizes for {y.Count} values", nameof(y));
        if (x.Distinct().Count() < 3) throw new ArgumentException("a power law with an asymptote needs values at three sizes or more", nameof(x));
        if (x.Any(size => !(size > 0)) || y.Any(value => !double.IsFinite(value))) throw new ArgumentException("sizes must be above 0 and values finite", nameof(x));
        // Scaled by the geometric mean, x^-α stays near 1 whatever the unit.
        var unit = Math.Exp(x.Average(Math.Log));
        var scaled = x.Select(size => size / unit).ToArray();
        var logarithms = Enumerable.Range(0, Grid + 1).Select(i => Math.Log(LeastAlpha) + i * (Math.Log(MostAlpha) - Math.Log(LeastAlpha)) / Grid).ToArray();
        var best = logarithms.MinBy(logarithm => At(scaled, y, Math.Exp(logarithm)).Residual);
        var step = logarithms[1] - logarithms[0];
        var (low, high) = (Math.Max(best - step, logarithms[0]), Math.Min(best + step, logarithms[^1]));
        for (var i = 0; i < 60; i++)
        {
            var (left, right) = (low + (high - low) / 3, high - (high - low) / 3);
            if (At(scaled, y, Math.Exp(left)).Residual < At(scaled, y, Math.Exp(right)).Residual) high = right;
            else low = left;
        }
        var law = At(scaled, y, Math.Exp((low + high) / 2));
        return law with { A = law.A * Math.Pow(unit, law.Alpha) };
    }

    /// <summary>Intervals of the fit by drawing every size's values again, with repetition.</summary>
    /// <param name="x">Sizes.</param>
    /// <param name="values">At every size one value a seed.</param>
    /// <param name="level">Probability.</param>
    /// <param name="draws">Resamples.</param>
    /// <returns>The fit of the means, and percentile intervals of E and α.</returns>
    public static (PowerLaw Law, Interval E, Interval Alpha) WithIntervals(IReadOnlyList<double> x, IReadOnlyList<IReadOnlyList<double>> values, double level = 0.95, int draws = 500)
    {
        ArgumentNullException.ThrowIfNull(values);
        var law = Of(x, [.. values.Select(seeds => seeds.Average())]);
        var resampled = Enumerable.Range(0, draws).Select(draw => Of(x, [.. values.Select((seeds, size) => Enumerable.Range(0, seeds.Count)
            .Average(i => seeds[(int)(Philox.Uniform((ulong)x.Count, RandomPurpose.Statistics, (ulong)draw, (ulong)(size * 1000 + i)) * seeds.Count)]))])).ToList();
        return (law, Percentiles(law.E, [.. resampled.Select(one => one.E)], level), Percentiles(law.Alpha, [.. resampled.Select(one => one.Alpha)], level));
    }

    private static Interval Percentiles(double middle, double[] values, double level)
    {
        Array.Sort(values);
        return new(middle, values[(int)((values.Length - 1) * (1 - level) / 2)], values[(int)Math.Ceiling((values.Length - 1) * (1 + level) / 2)]);
    }

    /// <summary>The best E ≥ 0 and A ≥ 0 for one α.</summary>
    private static PowerLaw At(double[] x, IReadOnlyList<double> y, double alpha)
    {
        var z = x.Select(size => Math.Pow(size, -alpha)).ToArray();
        var (meanZ, meanY) = (z.Average(), y.Average());
        var spread = z.Sum(value => (value - meanZ) * (value - meanZ));
        var a = spread > 0 ? Math.Max(0, z.Zip(y, (u, v) => (u - meanZ) * (v - meanY)).Sum() / spread) : 0;
        var e = meanY - a * meanZ;
        if (e < 0) (e, a) = (0, Math.Max(0, z.Zip(y, (u, v) => u * v).Sum() / z.Sum(u => u * u)));
        return new PowerLaw(e, a, alpha, Math.Sqrt(z.Zip(y, (u, v) => e + a * u - v).Average(r => r * r)));
    }
}
