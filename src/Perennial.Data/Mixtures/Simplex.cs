namespace Perennial.Data.Mixtures;

/// <summary>Arithmetic on shares.</summary>
internal static class Simplex
{
    /// <summary>Shares of given weights: they sum to 1.</summary>
    public static double[] Normalize(IEnumerable<double> weights)
    {
        double[] values = [.. weights];
        var sum = values.Sum();
        return Array.ConvertAll(values, value => value / sum);
    }

    /// <summary>p_i ∝ exp(x_i). The largest exponent is subtracted first, so that nothing overflows.</summary>
    public static double[] Softmax(IReadOnlyList<double> exponents)
    {
        var largest = exponents.Max();
        return Normalize(exponents.Select(exponent => Math.Exp(exponent - largest)));
    }

    /// <summary>Shares drawn toward the uniform ones until none is below the floor.</summary>
    /// <param name="shares">They sum to 1.</param>
    /// <param name="floor">Least share, at most 1 / n.</param>
    /// <param name="counts">Which of them have a floor; the others must be 0.</param>
    public static double[] Floor(IReadOnlyList<double> shares, double floor, Func<int, bool> counts)
    {
        var n = Enumerable.Range(0, shares.Count).Count(counts);
        return [.. shares.Select((share, i) => counts(i) ? floor + (1 - floor * n) * share : 0)];
    }

    /// <summary>Weights without the sources that have given their passes; the old ones where all have.</summary>
    public static IReadOnlyList<double> WithoutExhausted(IReadOnlyList<double> weights, MixtureContext context, MixtureMoment moment, double epochs)
    {
        if (epochs <= 0) return weights;
        double[] left = [.. weights.Select((weight, i) => moment.Delivered[i] >= epochs * context.Sources[i].Windows ? 0 : weight)];
        return left.Sum() > 0 ? left : weights;
    }
}
