namespace Perennial.Evaluation.Dynamics;

/// <summary>The loss as a function of model and data size, L = E + A·N^−a + B·D^−b, every coefficient at least 0 (the form of Hoffmann et al. 2022, arXiv 2203.15556).</summary>
/// <param name="Floor">E.</param>
/// <param name="Size">A.</param>
/// <param name="SizePower">a.</param>
/// <param name="Data">B.</param>
/// <param name="DataPower">b.</param>
public sealed record LossSurface(double Floor, double Size, double SizePower, double Data, double DataPower)
{
    private static readonly double[] Powers = [.. Enumerable.Range(1, 16).Select(i => 0.075 * i)];

    /// <summary>The loss at a size.</summary>
    public double At(double parameters, double tokens) => Floor + Size * Math.Pow(parameters, -SizePower) + Data * Math.Pow(tokens, -DataPower);

    /// <summary>Least squares over a grid of powers, 0.075 to 1.2; for each the coefficients are solved exactly.</summary>
    /// <param name="points">(parameters, tokens, loss), of two sizes at least.</param>
    public static LossSurface Fit(IReadOnlyList<(double Parameters, double Tokens, double Loss)> points)
    {
        ArgumentNullException.ThrowIfNull(points);
        if (points.Count < 4) throw new ArgumentException("at least four points are needed", nameof(points));
        var best = (Error: double.PositiveInfinity, Surface: new LossSurface(points.Average(point => point.Loss), 0, 1, 0, 1));
        // Scaled so that columns are of like size.
        var (size, data) = (points.Min(point => point.Parameters), points.Min(point => point.Tokens));
        foreach (var a in Powers)
        foreach (var b in Powers)
        {
            var rows = points.Select(point => (double[])[1, Math.Pow(point.Parameters / size, -a), Math.Pow(point.Tokens / data, -b)]).ToList();
            var (solution, error) = NonNegative(rows, [.. points.Select(point => point.Loss)]);
            if (error < best.Error) best = (error, new LossSurface(solution[0], solution[1] * Math.Pow(size, a), a, solution[2] * Math.Pow(data, b), b));
        }
        return best.Surface;
    }

    /// <summary>Least squares with coefficients at least 0, by trying which are above: three columns make seven cases.</summary>
    private static (double[] Solution, double Error) NonNegative(List<double[]> rows, double[] target)
    {
        var best = (Solution: new double[3], Error: target.Sum(value => value * value));
        for (var active = 1; active < 8; active++)
        {
            var columns = Enumerable.Range(0, 3).Where(column => (active >> column & 1) == 1).ToArray();
            if (Solve(rows, target, columns) is not { } coefficients || coefficients.Any(value => value < 0)) continue;
            var error = rows.Select((row, i) => Math.Pow(columns.Select((column, j) => coefficients[j] * row[column]).Sum() - target[i], 2)).Sum();
            if (error >= best.Error) continue;
            var solution = new double[3];
            for (var j = 0; j < columns.Length; j++) solution[columns[j]] = coefficients[j];
            best = (solution, error);
        }
        return best;
    }

    /// <summary>The normal equations of some columns by elimination; null where they are singular.</summary>
    private static double[]? Solve(List<double[]> rows, double[] target, int[] columns)
    {
        var n = columns.Length;
        var matrix = new double[n, n + 1];
        for (var i = 0; i < n; i++)
        {
            for (var j = 0; j < n; j++) matrix[i, j] = rows.Sum(row => row[columns[i]] * row[columns[j]]);
            matrix[i, n] = rows.Select((row, k) => row[columns[i]] * target[k]).Sum();
        }
        for (var pivot = 0; pivot < n; pivot++)
        {
            if (Math.Abs(matrix[pivot, pivot]) < 1e-12 * rows.Count) return null;
            for (var i = 0; i < n; i++)
            {
                if (i == pivot) continue;
                var factor = matrix[i, pivot] / matrix[pivot, pivot];
                for (var j = pivot; j <= n; j++) matrix[i, j] -= factor * matrix[pivot, j];
            }
        }
        return [.. Enumerable.Range(0, n).Select(i => matrix[i, n] / matrix[i, i])];
    }
}
