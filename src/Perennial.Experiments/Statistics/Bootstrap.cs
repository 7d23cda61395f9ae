using Perennial.Core;

namespace Perennial.Experiments.Statistics;

/// <summary>
/// The bootstrap interval of a mean over a few seeds. Percentiles of the means of resamples, with the percentiles widened so that
/// few values do not feign certainty: the plain percentile interval of n values is too narrow by the factor
/// √((n−1)/n) · z/t (Hesterberg, "What teachers should know about the bootstrap", 2015, section 3.4: the expanded percentile interval).
/// </summary>
/// <remarks>
/// Up to six values, all n^n resamples are enumerated and nothing is drawn; above, draws come from Philox keyed by the number of
/// values, so equal values always give equal intervals. With three values the widened interval is their range.
/// </remarks>
public static class Bootstrap
{
    private const int EnumeratedValues = 6;

    /// <summary>Resamples drawn when there are too many to enumerate.</summary>
    public const int Draws = 10_000;

    /// <summary>The mean and its interval.</summary>
    /// <param name="values">At least one finite value. One value has no spread to see: the interval is the value itself.</param>
    /// <param name="level">Probability that the interval is meant to hold the true mean.</param>
    /// <exception cref="ArgumentException">There is no value, or one is not finite.</exception>
    public static Interval Mean(IReadOnlyList<double> values, double level = 0.95)
    {
        ArgumentNullException.ThrowIfNull(values);
        if (values.Count == 0 || values.Any(value => !double.IsFinite(value))) throw new ArgumentException("an interval needs at least one value, all finite", nameof(values));
        var mean = values.Average();
        if (values.Count == 1) return new(mean, mean, mean);
        var means = values.Count <= EnumeratedValues ? Enumerated(values) : Drawn(values);
        Array.Sort(means);
        var tail = TailProbability(values.Count, level);
        return new(mean, Quantile.OfSorted(means, tail), Quantile.OfSorted(means, 1 - tail));
    }

    /// <summary>The share of resampled means left out on each side: Φ(−√(n/(n−1)) · t), t being Student's quantile for n − 1.</summary>
    public static double TailProbability(int count, double level) =>
        NormalDistribution.Cumulative(-Math.Sqrt(count / (count - 1.0)) * NormalDistribution.StudentQuantile((1 + level) / 2, count - 1));

    private static double[] Enumerated(IReadOnlyList<double> values)
    {
        var n = values.Count;
        var means = new double[(int)Math.Pow(n, n)];
        for (var i = 0; i < means.Length; i++)
        {
            var sum = 0.0;
            for (int j = 0, code = i; j < n; j++, code /= n) sum += values[code % n];
            means[i] = sum / n;
        }
        return means;
    }

    private static double[] Drawn(IReadOnlyList<double> values)
    {
        var means = new double[Draws];
        for (var i = 0; i < means.Length; i++)
        {
            var sum = 0.0;
            for (var j = 0; j < values.Count; j++)
                sum += values[(int)(Philox.Uniform((ulong)values.Count, RandomPurpose.Statistics, (ulong)i, (ulong)j) * values.Count)];
            means[i] = sum / values.Count;
        }
        return means;
    }
}
