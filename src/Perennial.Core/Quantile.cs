namespace Perennial.Core;

/// <summary>Quantiles of a few values.</summary>
public static class Quantile
{
    /// <summary>The middle value, or the mean of the two in the middle.</summary>
    /// <param name="values">At least one, in any order.</param>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static double Median(IEnumerable<double> values)
    {
        var sorted = Sorted(values);
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>The value below which a share of the values lies, between neighbours in proportion (type 7 of Hyndman and Fan 1996).</summary>
    /// <param name="values">At least one, in any order.</param>
    /// <param name="share">From 0 (the least) to 1 (the greatest).</param>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static double Of(IEnumerable<double> values, double share)
    {
        return OfSorted(Sorted(values), share);
    }

    /// <summary>The same of values that are in ascending order.</summary>
    /// <param name="sorted">At least one, in ascending order.</param>
    /// <param name="share">From 0 (the least) to 1 (the greatest).</param>
    public static double OfSorted(double[] sorted, double share)
    {
        ArgumentNullException.ThrowIfNull(sorted);
        ArgumentOutOfRangeException.ThrowIfNegative(share);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(share, 1);
        var position = share * (sorted.Length - 1);
        var below = (int)Math.Floor(position);
        var above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + (sorted[above] - sorted[below]) * (position - below);
    }

    private static double[] Sorted(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length > 0 ? sorted : throw new ArgumentException("no values", nameof(values));
    }
}
