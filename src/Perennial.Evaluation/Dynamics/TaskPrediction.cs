namespace Perennial.Evaluation.Dynamics;

/// <summary>A task's curve as other tasks' curves make it: û = Σ β_j u_j, β ≥ 0 (task dynamic prediction, Yang et al. 2024, arXiv 2404.01204).</summary>
public static class TaskPrediction
{
    /// <summary>Fits on some runs and tells R² on another one: 1 − Σ(u − û)² / Σ(u − ū)². At most 1; below 0 where the mean would have done better; NaN where the curve does not vary.</summary>
    /// <param name="fitted">Runs that the weights are fitted on.</param>
    /// <param name="judged">The run they are judged on.</param>
    /// <param name="target">The task's metric.</param>
    /// <param name="pool">Metrics that foretell it.</param>
    /// <param name="normalize">Metric and value → what is compared, such as the accuracy above chance.</param>
    public static double RSquared(IReadOnlyList<TrainingCurve> fitted, TrainingCurve judged, string target, IReadOnlyList<string> pool, Func<string, double, double> normalize)
    {
        ArgumentNullException.ThrowIfNull(fitted);
        ArgumentNullException.ThrowIfNull(judged);
        ArgumentNullException.ThrowIfNull(pool);
        ArgumentNullException.ThrowIfNull(normalize);
        IReadOnlyList<double> Series(TrainingCurve run, string metric) => RankCorrelation.MedianOfThree([.. run.Moments.Select(moment => normalize(metric, moment.Metrics[metric]))]);
        var rows = fitted.SelectMany(run => pool.Select(metric => Series(run, metric)).ToList() is var columns ? Enumerable.Range(0, run.Moments.Count).Select(i => columns.Select(column => column[i]).ToArray()) : []).ToList();
        var (weights, _) = NonNegativeLeastSquares.Solve(rows, [.. fitted.SelectMany(run => Series(run, target))]);
        var (truth, parts) = (Series(judged, target), pool.Select(metric => Series(judged, metric)).ToList());
        var mean = truth.Average();
        var spread = truth.Sum(value => (value - mean) * (value - mean));
        return spread > 0 ? 1 - truth.Select((value, i) => Math.Pow(value - weights.Select((weight, j) => weight * parts[j][i]).Sum(), 2)).Sum() / spread : double.NaN;
    }
}
