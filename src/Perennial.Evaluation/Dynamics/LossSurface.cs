namespace Perennial.Evaluation.Dynamics;

/// <summary>The loss as a function of model and data size, L = E + A·N^−a + B·D^−b, every coefficient at least 0 (the form of Hoffmann et al. 2022, arXiv 2203.15556).</summary>
/// <param name="Floor">E.</param>
/// <param name="Size">A.</param>
/// <param name="SizePower">a.</param>
/// <param name="Data">B.</param>
/// <param name="DataPower">b.</param>
public sealed record LossSurface(double Floor, double Size, double SizePower, double Data, double DataPower)
{
    private const double Least = 0.1, Most = 1.2, Coarse = 0.1;

    /// <summary>The loss at a size.</summary>
    public double At(double parameters, double tokens) => Floor + Size * Math.Pow(parameters, -SizePower) + Data * Math.Pow(tokens, -DataPower);

    /// <summary>Least squares over powers from 0.1 to 1.2, by a grid that is made finer three times around the best; for each pair of powers the coefficients are solved exactly.</summary>
    /// <param name="points">(parameters, tokens, loss), of two sizes at least.</param>
    public static LossSurface Fit(IReadOnlyList<(double Parameters, double Tokens, double Loss)> points)
    {
        ArgumentNullException.ThrowIfNull(points);
        if (points.Count < 4) throw new ArgumentException("at least four points are needed", nameof(points));
        var best = (Error: double.PositiveInfinity, Surface: new LossSurface(points.Average(point => point.Loss), 0, 1, 0, 1));
        // Scaled so that columns are of like size.
        var (size, data) = (points.Min(point => point.Parameters), points.Min(point => point.Tokens));
        double[] losses = [.. points.Select(point => point.Loss)];
        for (var a = Least; a < Most + 1e-9; a += Coarse)
            for (var b = Least; b < Most + 1e-9; b += Coarse)
                Try(a, b);
        for (var step = Coarse / 2; step > Coarse / 10; step /= 2)
        {
            var (a, b) = (best.Surface.SizePower, best.Surface.DataPower);
            for (var i = -1; i <= 1; i++)
                for (var j = -1; j <= 1; j++)
                    if (i != 0 || j != 0) Try(Math.Clamp(a + i * step, Least / 2, Most), Math.Clamp(b + j * step, Least / 2, Most));
        }
        return best.Surface;

        void Try(double a, double b)
        {
            var rows = points.Select(point => (double[])[1, Math.Pow(point.Parameters / size, -a), Math.Pow(point.Tokens / data, -b)]).ToList();
            var (solution, error) = NonNegativeLeastSquares.Solve(rows, losses);
            if (error < best.Error) best = (error, new LossSurface(solution[0], solution[1] * Math.Pow(size, a), a, solution[2] * Math.Pow(data, b), b));
        }
    }
}
