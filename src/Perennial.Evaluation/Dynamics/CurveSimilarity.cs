namespace Perennial.Evaluation.Dynamics;

/// <summary>How alike a metric moves in two runs, at equal tokens.</summary>
/// <param name="Metric">The metric.</param>
/// <param name="First">Parameters of the first run.</param>
/// <param name="Second">Parameters of the second.</param>
/// <param name="Points">Checkpoints compared.</param>
/// <param name="Level">Spearman's correlation of the values. Nearly all curves rise, so that it is high for any two.</param>
/// <param name="Detrended">The same with the common trend in time taken out; NaN where a curve is nothing but trend.</param>
/// <param name="Differences">Pearson's correlation of the changes from checkpoint to checkpoint, of curves smoothed by medians of three.</param>
public sealed record CurveSimilarity(string Metric, long First, long Second, int Points, double Level, double Detrended, double Differences)
{
    /// <summary>Compares every two neighbouring runs, by size, in every metric that both have.</summary>
    public static IReadOnlyList<CurveSimilarity> Of(IReadOnlyList<TrainingCurve> runs)
    {
        ArgumentNullException.ThrowIfNull(runs);
        var sorted = runs.OrderBy(run => run.Parameters).ToList();
        return [.. sorted.Zip(sorted.Skip(1)).SelectMany(pair => pair.First.Metrics.Intersect(pair.Second.Metrics).Select(metric => Compare(metric, pair.First, pair.Second)))];
    }

    private static CurveSimilarity Compare(string metric, TrainingCurve first, TrainingCurve second)
    {
        IReadOnlyList<long> tokens = [.. first.Moments.Select(moment => moment.Tokens)];
        var other = second.At(metric, tokens);
        var kept = Enumerable.Range(0, tokens.Count).Where(i => double.IsFinite(other[i]) && double.IsFinite(first.Moments[i].Metrics[metric])).ToList();
        IReadOnlyList<double> a = [.. kept.Select(i => first.Moments[i].Metrics[metric])], b = [.. kept.Select(i => other[i])], time = [.. kept.Select(i => (double)tokens[i])];
        var (x, y) = (RankCorrelation.MedianOfThree(a), RankCorrelation.MedianOfThree(b));
        return new CurveSimilarity(metric, first.Parameters, second.Parameters, kept.Count, RankCorrelation.Spearman(a, b), RankCorrelation.Partial(a, b, time),
            RankCorrelation.Pearson([.. x.Zip(x.Skip(1), (before, after) => after - before)], [.. y.Zip(y.Skip(1), (before, after) => after - before)]));
    }
}
