namespace Perennial.Resilience.Restart;

/// <summary>Logistic regression on standardized features with an L2 penalty, fitted by Newton's method. Deterministic.</summary>
/// <param name="Weights">One a feature, for standardized features.</param>
/// <param name="Bias">Intercept, not penalized.</param>
/// <param name="Means">Means of the features when fitted.</param>
/// <param name="Scales">Standard deviations of the features when fitted; 1 for a feature that never changed.</param>
public sealed record LogisticRegression(IReadOnlyList<double> Weights, double Bias, IReadOnlyList<double> Means, IReadOnlyList<double> Scales)
{
    /// <summary>The log-odds of a row.</summary>
    public double Score(IReadOnlyList<double> features)
    {
        ArgumentNullException.ThrowIfNull(features);
        var score = Bias;
        for (var i = 0; i < Weights.Count; i++) score += Weights[i] * (features[i] - Means[i]) / Scales[i];
        return score;
    }

    /// <summary>1 / (1 + e^(−x)).</summary>
    public static double Sigmoid(double x) => x >= 0 ? 1 / (1 + Math.Exp(-x)) : Math.Exp(x) / (1 + Math.Exp(x));

    /// <summary>Fits rows to targets.</summary>
    /// <param name="rows">Features, [n][k].</param>
    /// <param name="targets">0 to 1 each; a soft target is allowed.</param>
    /// <param name="penalty">L2 penalty on the weights, above 0: keeps separable data finite.</param>
    /// <exception cref="ArgumentException">No rows, or as many targets as there are not.</exception>
    public static LogisticRegression Fit(IReadOnlyList<double[]> rows, IReadOnlyList<double> targets, double penalty = 1)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(targets);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(penalty);
        if (rows.Count == 0 || rows.Count != targets.Count) throw new ArgumentException($"{rows.Count} rows with {targets.Count} targets cannot be fitted");
        var width = rows[0].Length;
        var (means, scales) = (new double[width], new double[width]);
        for (var i = 0; i < width; i++)
        {
            means[i] = rows.Average(row => row[i]);
            var deviation = Math.Sqrt(rows.Average(row => (row[i] - means[i]) * (row[i] - means[i])));
            scales[i] = deviation > 1e-12 ? deviation : 1;
        }
        // Column 0 is the intercept.
        var inputs = rows.Select(row => Enumerable.Range(-1, width + 1).Select(i => i < 0 ? 1 : (row[i] - means[i]) / scales[i]).ToArray()).ToList();
        var solution = new double[width + 1];
        for (var iteration = 0; iteration < 50; iteration++)
        {
            var (gradient, hessian) = Derivatives(inputs, targets, solution, penalty);
            var step = Solve(hessian, gradient);
            // The penalized loss is convex; a step bounded in length cannot run away where the curvature is still flat.
            var length = Math.Sqrt(step.Sum(value => value * value));
            var scale = length > 5 ? 5 / length : 1;
            for (var i = 0; i <= width; i++) solution[i] -= scale * step[i];
            if (length < 1e-10) break;
        }
        return new(solution[1..], solution[0], means, scales);
    }

    private static (double[] Gradient, double[,] Hessian) Derivatives(List<double[]> inputs, IReadOnlyList<double> targets, double[] solution, double penalty)
    {
        var size = solution.Length;
        var (gradient, hessian) = (new double[size], new double[size, size]);
        for (var n = 0; n < inputs.Count; n++)
        {
            var p = Sigmoid(inputs[n].Zip(solution, (x, w) => x * w).Sum());
            for (var i = 0; i < size; i++)
            {
                gradient[i] += (p - targets[n]) * inputs[n][i];
                for (var j = 0; j < size; j++) hessian[i, j] += p * (1 - p) * inputs[n][i] * inputs[n][j];
            }
        }
        for (var i = 0; i < size; i++)
        {
            if (i > 0) gradient[i] += penalty * solution[i];
            hessian[i, i] += i > 0 ? penalty : 1e-9;
        }
        return (gradient, hessian);
    }

    // Cholesky; the matrix is symmetric and positive definite by the penalty.
    private static double[] Solve(double[,] matrix, double[] right)
    {
        var size = right.Length;
        var lower = new double[size, size];
        for (var i = 0; i < size; i++)
        {
            for (var j = 0; j <= i; j++)
            {
                var sum = matrix[i, j];
                for (var k = 0; k < j; k++) sum -= lower[i, k] * lower[j, k];
                lower[i, j] = i == j ? Math.Sqrt(sum) : sum / lower[j, j];
            }
        }
        var x = (double[])right.Clone();
        for (var i = 0; i < size; i++)
        {
            for (var k = 0; k < i; k++) x[i] -= lower[i, k] * x[k];
            x[i] /= lower[i, i];
        }
        for (var i = size - 1; i >= 0; i--)
        {
            for (var k = i + 1; k < size; k++) x[i] -= lower[k, i] * x[k];
            x[i] /= lower[i, i];
        }
        return x;
    }
}
