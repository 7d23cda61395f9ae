namespace Perennial.Evaluation.Dynamics;

/// <summary>Least squares with coefficients at least 0, exactly, for a few columns.</summary>
public static class NonNegativeLeastSquares
{
    private const int MostColumns = 12;

    /// <summary>Solves min |Xβ − y|², β ≥ 0, by trying which coefficients are above 0.</summary>
    /// <param name="rows">X, by row.</param>
    /// <param name="target">y.</param>
    /// <returns>β and the sum of squares that is left.</returns>
    public static (double[] Solution, double Error) Solve(IReadOnlyList<double[]> rows, IReadOnlyList<double> target)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(target);
        var count = rows[0].Length;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, MostColumns);
        var best = (Solution: new double[count], Error: target.Sum(value => value * value));
        for (var active = 1; active < 1 << count; active++)
        {
            var columns = Enumerable.Range(0, count).Where(column => (active >> column & 1) == 1).ToArray();
            if (Solve(rows, target, columns) is not { } coefficients || coefficients.Any(value => value < 0)) continue;
            var error = rows.Select((row, i) => Math.Pow(columns.Select((column, j) => coefficients[j] * row[column]).Sum() - target[i], 2)).Sum();
            if (error >= best.Error) continue;
            var solution = new double[count];
            for (var j = 0; j < columns.Length; j++) solution[columns[j]] = coefficients[j];
            best = (solution, error);
        }
        return best;
    }

    /// <summary>The normal equations of some columns by elimination; null where they are singular.</summary>
    private static double[]? Solve(IReadOnlyList<double[]> rows, IReadOnlyList<double> target, int[] columns)
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
