namespace Perennial.Evaluation.Dynamics;

/// <summary>Correlations of short series.</summary>
public static class RankCorrelation
{
    /// <summary>Pearson's correlation; NaN where a series does not vary or is shorter than 3.</summary>
    public static double Pearson(IReadOnlyList<double> a, IReadOnlyList<double> b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.Count != b.Count) throw new ArgumentException("the series differ in length", nameof(b));
        if (a.Count < 3) return double.NaN;
        var (meanA, meanB) = (a.Average(), b.Average());
        double ab = 0, aa = 0, bb = 0;
        for (var i = 0; i < a.Count; i++)
        {
            var (x, y) = (a[i] - meanA, b[i] - meanB);
            (ab, aa, bb) = (ab + x * y, aa + x * x, bb + y * y);
        }
        return aa > 0 && bb > 0 ? ab / Math.Sqrt(aa * bb) : double.NaN;
    }

    /// <summary>Spearman's rank correlation; ties share their mean rank.</summary>
    public static double Spearman(IReadOnlyList<double> a, IReadOnlyList<double> b) => Pearson(Ranks(a), Ranks(b));

    /// <summary>Spearman's correlation of two series with what both owe to a third (their trend in time) taken out: (ρ_ab − ρ_ac·ρ_bc) / √((1 − ρ_ac²)(1 − ρ_bc²)).</summary>
    public static double Partial(IReadOnlyList<double> a, IReadOnlyList<double> b, IReadOnlyList<double> trend)
    {
        var (ab, ac, bc) = (Spearman(a, b), Spearman(a, trend), Spearman(b, trend));
        var rest = (1 - ac * ac) * (1 - bc * bc);
        // A series that is nothing but trend leaves nothing to correlate.
        return rest > 1e-12 ? Math.Clamp((ab - ac * bc) / Math.Sqrt(rest), -1, 1) : double.NaN;
    }

    /// <summary>Kendall's τ-a of two series: concordant minus discordant pairs over all pairs.</summary>
    public static double Kendall(IReadOnlyList<double> a, IReadOnlyList<double> b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        if (a.Count < 2) return double.NaN;
        var sum = 0;
        for (var i = 0; i < a.Count; i++)
            for (var j = 0; j < i; j++)
                sum += Math.Sign(a[i] - a[j]) * Math.Sign(b[i] - b[j]);
        return sum / (a.Count * (a.Count - 1) / 2.0);
    }

    /// <summary>Ranks from 1, equal values sharing their mean rank.</summary>
    public static IReadOnlyList<double> Ranks(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        var order = Enumerable.Range(0, values.Count).OrderBy(i => values[i]).ToArray();
        var ranks = new double[values.Count];
        for (var first = 0; first < order.Length;)
        {
            var end = first + 1;
            while (end < order.Length && values[order[end]] == values[order[first]]) end++;
            for (var i = first; i < end; i++) ranks[order[i]] = (first + end + 1) / 2.0;
            first = end;
        }
        return ranks;
    }

    /// <summary>Centred medians of three; the ends stay.</summary>
    public static IReadOnlyList<double> MedianOfThree(IReadOnlyList<double> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        return [.. values.Select((value, i) => i == 0 || i == values.Count - 1 ? value : new[] { values[i - 1], value, values[i + 1] }.Order().ElementAt(1))];
    }
}
