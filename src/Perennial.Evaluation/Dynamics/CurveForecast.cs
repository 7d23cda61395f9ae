using Perennial.Core;

namespace Perennial.Evaluation.Dynamics;

/// <summary>A foretold value and what became of it.</summary>
/// <param name="Tokens">Tokens seen.</param>
/// <param name="Value">What was foretold.</param>
/// <param name="Low">Lower end of the interval.</param>
/// <param name="High">Upper end.</param>
/// <param name="Measured">What the run measured; NaN where it has no checkpoint.</param>
public sealed record ForecastMoment(long Tokens, double Value, double Low, double High, double Measured);

/// <summary>A larger model's curve as the smaller ones foretell it.</summary>
/// <param name="Metric">The metric.</param>
/// <param name="Parameters">The larger model's parameters.</param>
/// <param name="Moments">The curve.</param>
/// <param name="LastOfSmaller">The final value of the next smaller run: what a forecast must beat.</param>
public sealed record CurveForecast(string Metric, long Parameters, IReadOnlyList<ForecastMoment> Moments, double LastOfSmaller)
{
    private const int Draws = 100;
    private const double Tail = 0.05;

    /// <summary>Absolute error at the end; NaN where the run was not measured there.</summary>
    public double Error => Math.Abs(Moments[^1].Value - Moments[^1].Measured);

    /// <summary>The error of taking the next smaller run's last value.</summary>
    public double BaselineError => Math.Abs(LastOfSmaller - Moments[^1].Measured);

    /// <summary>
    /// Foretells the curves of the largest run from all smaller ones: the loss by a <see cref="LossSurface"/> over model and data size, every other metric by a
    /// <see cref="TaskLink"/> from the foretold loss. Intervals of 90 % are percentiles over refits on resampled residuals, each run's in blocks of three neighbours
    /// (neighbouring checkpoints err alike); draws are keyed, so that equal curves give equal intervals. The warmup, the first tenth of the tokens, is left out.
    /// </summary>
    /// <param name="runs">Three runs or more, of different sizes.</param>
    /// <exception cref="PerennialException">Exit 2: too few runs or checkpoints.</exception>
    public static IReadOnlyList<CurveForecast> OfLargest(IReadOnlyList<TrainingCurve> runs)
    {
        ArgumentNullException.ThrowIfNull(runs);
        var sorted = runs.OrderBy(run => run.Parameters).ToList();
        if (sorted.Select(run => run.Parameters).Distinct().Count() < 3) throw PerennialException.Usage("a forecast needs runs of three sizes at least: it is fitted on the smaller ones and held against the largest");
        var (smaller, target) = (sorted.SkipLast(1).ToList(), sorted[^1]);
        var start = target.Moments[^1].Tokens / 10;
        var used = smaller.Select(run => run.Moments.Where(moment => moment.Tokens >= start).Select(moment => (Parameters: (double)run.Parameters, Tokens: (double)moment.Tokens, moment.Metrics)).ToList()).ToList();
        if (used.Any(run => run.Count < 4)) throw PerennialException.Usage("a forecast needs four checkpoints at least of every run after its first tenth; keep more of them (resilience.keep)");
        var moments = target.Moments.Where(moment => moment.Tokens >= start).ToList();
        var surface = LossSurface.Fit([.. used.SelectMany(run => run).Select(point => (point.Parameters, point.Tokens, point.Metrics["loss"]))]);
        var residuals = used.Select(run => run.Select(point => point.Metrics["loss"] - surface.At(point.Parameters, point.Tokens)).ToList()).ToList();
        var surfaces = Enumerable.Range(0, Draws).Select(draw => LossSurface.Fit([.. used.SelectMany((run, r) =>
            run.Zip(Blocks(residuals[r], draw, r), (point, residual) => (point.Parameters, point.Tokens, surface.At(point.Parameters, point.Tokens) + residual)))])).ToList();
        var forecasts = new List<CurveForecast>();
        foreach (var metric in sorted[0].Metrics.Where(metric => sorted.All(run => run.Metrics.Contains(metric))))
        {
            var last = smaller[^1].Moments[^1].Metrics[metric];
            if (metric == "loss")
            {
                forecasts.Add(new(metric, target.Parameters, [.. moments.Select(moment => Moment(moment, metric, surface.At(target.Parameters, moment.Tokens), surfaces.Select(one => one.At(target.Parameters, moment.Tokens))))], last));
                continue;
            }
            List<(double Loss, double Score)> points = [.. used.SelectMany(run => run).Select(point => (point.Metrics["loss"], point.Metrics[metric])).Where(point => double.IsFinite(point.Item2))];
            if (points.Count < 4) continue;
            var link = TaskLink.Fit(points);
            var errors = points.Select(point => point.Score - link.At(point.Loss)).ToList();
            var links = Enumerable.Range(0, Draws).Select(draw => TaskLink.Fit([.. points.Zip(Blocks(errors, draw, 100), (point, error) => (point.Loss, link.At(point.Loss) + error))])).ToList();
            forecasts.Add(new(metric, target.Parameters, [.. moments.Select(moment => Moment(moment, metric, link.At(surface.At(target.Parameters, moment.Tokens)),
                links.Zip(surfaces, (one, under) => one.At(under.At(target.Parameters, moment.Tokens)))))], last));
        }
        return forecasts;
    }

    private static ForecastMoment Moment(CurveMoment moment, string metric, double value, IEnumerable<double> draws)
    {
        var sorted = draws.Order().ToArray();
        return new(moment.Tokens, value, Math.Min(value, sorted[(int)(Tail * (sorted.Length - 1))]), Math.Max(value, sorted[(int)Math.Ceiling((1 - Tail) * (sorted.Length - 1))]), moment.Metrics[metric]);
    }

    private static IEnumerable<double> Blocks(List<double> residuals, int draw, int series)
    {
        const int length = 3;
        for (var i = 0; i < residuals.Count; i++)
        {
            var first = (int)(Philox.Uniform((ulong)residuals.Count, RandomPurpose.Statistics, (ulong)draw, (ulong)(series * 100_000 + i / length)) * residuals.Count);
            yield return residuals[(first + i % length) % residuals.Count];
        }
    }
}
