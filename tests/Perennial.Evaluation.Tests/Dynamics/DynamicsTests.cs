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
        // Rank differences squared sum to 10 (a, b), 4 (a, time), 4 (b, time): ρ = 1 − 6 Σd² / (n (n² − 1)).
        var (ab, ac, bc) = (1 - 6 * 10 / 504.0, 1 - 6 * 4 / 504.0, 1 - 6 * 4 / 504.0);
        Assert.Equal(ab, RankCorrelation.Spearman(a, b), 1e-12);
        Assert.Equal((ab - ac * bc) / Math.Sqrt((1 - ac * ac) * (1 - bc * bc)), RankCorrelation.Partial(a, b, time), 1e-9);
        Assert.Equal([1.0, 2, 3, 3, 4], RankCorrelation.MedianOfThree([1, 3, 2, 3, 4]));
    }

    [Fact]
    public void A_loss_surface_is_recovered_from_points_on_it()
    {
        var truth = new LossSurface(1.5, 40, 0.36, 60, 0.28);
        var points = new[] { 5e4, 2e5, 8e5 }.SelectMany(size => Enumerable.Range(1, 8).Select(k => (size, k * 2e5, truth.At(size, k * 2e5)))).ToList();
        var fit = LossSurface.Fit(points);
        Assert.All(points, point => Assert.Equal(point.Item3, fit.At(point.size, point.Item2), 0.002));
        Assert.Equal(truth.At(3e6, 2e6), fit.At(3e6, 2e6), 0.02);
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
            // Two noisy sizes hold the exponent of the size only loosely.
            Assert.True(forecast.Error < 0.65 * forecast.BaselineError, $"{forecast.Metric}: {forecast.Error} against {forecast.BaselineError}");
            Assert.All(forecast.Moments, moment => Assert.True(moment.Low <= moment.Value && moment.Value <= moment.High));
            Assert.Contains(forecast.Moments, moment => moment.Low <= moment.Measured && moment.Measured <= moment.High);
        });
        // Equal curves, equal intervals.
        Assert.Equal(forecasts[1].Moments, CurveForecast.OfLargest(runs)[1].Moments);
        var similar = CurveSimilarity.Of(runs);
        Assert.Equal(4, similar.Count);
        Assert.All(similar, one => Assert.True(one.Level > 0.99));
    }

    [Fact]
    public void Non_negative_least_squares_is_exact_and_never_below_zero()
    {
        var rows = Enumerable.Range(0, 9).Select(i => (double[])[1, i, Math.Sin(i)]).ToList();
        var (solution, error) = NonNegativeLeastSquares.Solve(rows, [.. rows.Select(row => 0.5 * row[0] + 2 * row[1])]);
        Assert.Equal(0.5, solution[0], 1e-9);
        Assert.Equal(2, solution[1], 1e-9);
        Assert.Equal(0, solution[2], 1e-9);
        Assert.Equal(0, error, 1e-15);
        (solution, _) = NonNegativeLeastSquares.Solve(rows, [.. rows.Select(row => -row[1])]);
        Assert.All(solution, value => Assert.True(value >= 0));
    }

    [Fact]
    public void Tasks_that_move_together_foretell_each_other_and_saturation_is_where_most_is_gained()
    {
        TrainingCurve Curve(double speed) => new("run", 1, [.. Enumerable.Range(1, 12).Select(k => new CurveMoment(k, k * 1000, new Dictionary<string, double>
        {
            ["loss"] = 1, ["a"] = 1 - Math.Exp(-speed * k), ["b"] = 0.5 * (1 - Math.Exp(-speed * k)), ["c"] = k < 7 ? 0 : 1,
        }))]);
        double Plain(string metric, double value) => value;
        Assert.Equal(1, TaskPrediction.RSquared([Curve(0.2), Curve(0.3)], Curve(0.5), "a", ["b"], Plain), 1e-9);
        Assert.True(TaskPrediction.RSquared([Curve(0.2), Curve(0.3)], Curve(0.5), "a", ["c"], Plain) < 0.5);
        // The step is at moments 6 to 7, of which the logarithm is cut at nine tenths.
        Assert.Equal(6000 * Math.Pow(7000 / 6000.0, 0.9), Saturation.Tokens(Curve(0.2), "c"), 1e-6);
        Assert.True(double.IsNaN(Saturation.Tokens(Curve(0.2), "loss")));
    }
}
