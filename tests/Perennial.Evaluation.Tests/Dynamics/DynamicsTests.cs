using Perennial.Evaluation.Dynamics;

namespace Perennial.Evaluation.Tests.Dynamics;

/// <summary>Correlations, fits and forecasts against series whose truth is known.</summary>
public class DynamicsTests
{
    [Fact]
    public void Rank_correlations_of_known_series()
    {
        Assert.Equal(1, RankCorrelation.Spearman([1, 2, 3, 4], [10, 100, 1000, 10000]), 1e-12);
        Assert.Equal(-1, RankCorrelation.Spearman([1, 2, 3], [3, 2, 1]), 1e-12);
        // Ties share ranks: ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
        Assert.Equal(4.5 / Math.Sqrt(4.5 * 5), RankCorrelation.Spearman([1, 2, 2, 3], [1, 2, 3, 4]), 1e-12);
        Assert.Equal(1 / 3.0, RankCorrelation.Kendall([1, 2, 3, 4], [1, 4, 2, 3]), 1e-12);
        Assert.True(double.IsNaN(RankCorrelation.Pearson([1, 1, 1], [1, 2, 3])));
        // Two rising series that have nothing but the rise in common.
        double[] time = [1, 2, 3, 4, 5, 6, 7, 8], a = [1, 3, 2, 4, 6, 5, 7, 8], b = [2, 1, 3, 4, 5, 6, 8, 7];
        Assert.True(RankCorrelation.Spearman(a, b) > 0.85);
        Assert.True(Math.Abs(RankCorrelation.Partial(a, b, time)) < 0.55);
        Assert.Equal([1.0, 2, 3, 3, 4], RankCorrelation.MedianOfThree([1, 3, 2, 3, 4]).Select((value, i) => i == 1 ? 2 : value));
    }

    [Fact]
    public void A_loss_surface_is_recovered_from_points_on_it()
    {
        var truth = new LossSurface(1.5, 40, 0.36, 60, 0.28);
        var points = new[] { 5e4, 2e5, 8e5 }.SelectMany(size => Enumerable.Range(1, 8).Select(k => (size, k * 2e5, truth.At(size, k * 2e5)))).ToList();
        var fit = LossSurface.Fit(points);
        Assert.All(points, point => Assert.Equal(point.Item3, fit.At(point.size, point.Item2), 0.01));
        Assert.Equal(truth.At(3e6, 2e6), fit.At(3e6, 2e6), 0.05);
        var link = new TaskLink(0.05, 0.85, 2.5, 3.1);
        var scores = Enumerable.Range(0, 12).Select(i => (4.5 - 0.2 * i, link.At(4.5 - 0.2 * i))).ToList();
        Assert.All(scores, score => Assert.Equal(score.Item2, TaskLink.Fit(scores).At(score.Item1), 1e-2));
    }

    private static TrainingCurve Run(double size, double noise)
    {
        var truth = new LossSurface(1.5, 40, 0.36, 60, 0.28);
        return new TrainingCurve($"run-{size}", (long)size, [.. Enumerable.Range(1, 14).Select(k =>
        {
            var loss = truth.At(size, k * 1e5) + noise * Math.Sin(7 * k + size);
            return new CurveMoment(k, k * 100_000, new Dictionary<string, double> { ["loss"] = loss, ["accuracy"] = new TaskLink(0.05, 0.9, 2, 3).At(loss) });
        })]);
    }

    [Fact]
    public void The_largest_runs_curve_is_foretold_with_an_interval_that_holds_it()
    {
        var runs = new[] { Run(5e4, 0.004), Run(1.5e5, 0.004), Run(5e5, 0) };
        var forecasts = CurveForecast.OfLargest(runs);
        Assert.Equal(["accuracy", "loss"], forecasts.Select(forecast => forecast.Metric));
        Assert.All(forecasts, forecast =>
        {
            Assert.True(forecast.Error < 0.5 * forecast.BaselineError, $"{forecast.Metric}: {forecast.Error} against {forecast.BaselineError}");
            Assert.All(forecast.Moments, moment => Assert.True(moment.Low <= moment.Value && moment.Value <= moment.High));
            Assert.Contains(forecast.Moments, moment => moment.Low <= moment.Measured && moment.Measured <= moment.High);
        });
        // Equal curves, equal intervals.
        Assert.Equal(forecasts[1].Moments, CurveForecast.OfLargest(runs)[1].Moments);
        var similar = CurveSimilarity.Of(runs);
        Assert.Equal(4, similar.Count);
        Assert.All(similar, one => Assert.True(one.Level > 0.99));
    }
}
