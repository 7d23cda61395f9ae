namespace Perennial.Experiments.Statistics;

/// <summary>The standard normal and Student's t distribution, as far as intervals need them.</summary>
public static class NormalDistribution
{
    /// <summary>P(Z ≤ z), by the complementary error function's continued fraction and series; absolute error below 1e-14.</summary>
    public static double Cumulative(double z)
    {
        var x = Math.Abs(z) / Math.Sqrt(2);
        var tail = x < 2.5 ? 1 - Series(x) : ContinuedFraction(x);
        return z < 0 ? tail / 2 : 1 - tail / 2;
    }

    /// <summary>The value below which Student's t with <paramref name="freedom"/> degrees of freedom falls with probability <paramref name="probability"/>.</summary>
    /// <param name="probability">Above 0, below 1.</param>
    /// <param name="freedom">Degrees of freedom, at least 1.</param>
    public static double StudentQuantile(double probability, int freedom)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(freedom, 1);
        if (!(probability > 0 && probability < 1)) throw new ArgumentOutOfRangeException(nameof(probability));
        var (low, high) = (-1e9, 1e9);
        // Bisection on a monotone function: 200 halvings end at neighbouring doubles.
        for (var i = 0; i < 200; i++)
        {
            var middle = (low + high) / 2;
            if (StudentCumulative(middle, freedom) < probability) low = middle;
            else high = middle;
        }
        return (low + high) / 2;
    }

    /// <summary>P(T ≤ t): the finite sums for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4).</summary>
    public static double StudentCumulative(double t, int freedom)
    {
        var angle = Math.Atan(t / Math.Sqrt(freedom));
        var cosine = Math.Cos(angle);
        double term, sum = 0;
        if (freedom % 2 == 1)
        {
            term = cosine;
            for (var i = 1; i <= freedom - 2; i += 2)
            {
                sum += term;
                term *= cosine * cosine * (i + 1) / (i + 2);
            }
            return 0.5 + (angle + Math.Sin(angle) * sum) / Math.PI;
        }
        term = 1;
        for (var i = 0; i <= freedom - 2; i += 2)
        {
            sum += term;
            term *= cosine * cosine * (i + 1) / (i + 2);
        }
        return 0.5 + Math.Sin(angle) * sum / 2;
    }

    private static double Series(double x)
    {
        // erf(x) = 2/√π Σ (−1)^n x^(2n+1) / (n! (2n+1))
        double term = x, sum = x;
        for (var n = 1; n < 200 && Math.Abs(term) > 1e-18; n++)
        {
            term *= -x * x / n;
            sum += term / (2 * n + 1);
        }
        return sum * 2 / Math.Sqrt(Math.PI);
    }

    private static double ContinuedFraction(double x)
    {
        // erfc(x) = e^(−x²)/√π · 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + …))))
        var fraction = x;
        for (var k = 80; k >= 1; k--) fraction = x + k / 2.0 / fraction;
        return Math.Exp(-x * x) / Math.Sqrt(Math.PI) / fraction;
    }
}
