using Perennial.Evaluation.Charts;
using Perennial.Evaluation.Events;
using Perennial.Training;

namespace Perennial.Evaluation.Reports;

/// <summary>The curves of a run.</summary>
public static class RunCharts
{
    /// <summary>The charts in the order of the report: the held-out figure first, since it is what the run is for.</summary>
    public static IEnumerable<LineChart> Of(RunHistory history)
    {
        ArgumentNullException.ThrowIfNull(history);
        if (HeldOut(history) is { } heldOut) yield return heldOut;
        yield return Loss(history);
        yield return Rate(history);
        yield return Speed(history);
        yield return GradientNorm(history);
        foreach (var chart in OtherMetrics(history)) yield return chart;
    }

    private static LineChart? HeldOut(RunHistory history)
    {
        var series = MetricSeries(history, "bits_per_byte");
        if (series.Count == 0) return null;
        var summary = new RunSummary(history);
        return new LineChart
        {
            Id = "held-out",
            Title = "Held-out bits per byte",
            Description = $"Bits per byte on text the model never saw, lower is better. {summary.Verdict}",
            YLabel = "bits per byte",
            Series = series,
            Levels = [.. summary.Yardsticks.Where(one => one.BitsPerByte is not null).Select(one => new ChartLevel(one.Name, one.BitsPerByte!.Value))],
            Marks = Moments(history),
            Format = value => Human.Fixed(value, 3),
        };
    }

    private static LineChart Loss(RunHistory history)
    {
        var raw = Points(history, step => step.Loss);
        return new LineChart
        {
            Id = "loss",
            Title = "Training loss",
            Description = $"Mean training loss of every step in nats a token, and its moving average; {Ends(raw)}.",
            YLabel = "nats a token",
            Series = [new ChartSeries("every step", raw, CurveStyle.Faint), new ChartSeries("smoothed", Smoothed(raw))],
            Marks = Moments(history),
        };
    }

    private static LineChart Rate(RunHistory history)
    {
        var points = Points(history, step => step.Rate);
        return new LineChart
        {
            Id = "rate",
            Title = "Learning rate",
            Description = $"The learning rate that each step applied; {Ends(points)}.",
            YLabel = "learning rate",
            Series = [new ChartSeries("learning rate", points)],
            FromZero = true,
        };
    }

    private static LineChart Speed(RunHistory history)
    {
        var raw = history.Started is { } started ? Points(history, step => Throughput.TokensPerSecond(started, step)) : [];
        return new LineChart
        {
            Id = "speed",
            Title = "Throughput",
            Description = $"Training tokens a second{(history.Started?.CeilingFlops > 0 ? ", and on the right the model FLOP utilization against the measured ceiling" : "")}; {Ends(raw)}.",
            YLabel = "tokens a second",
            Series = [new ChartSeries("every step", raw, CurveStyle.Faint), new ChartSeries("smoothed", Smoothed(raw))],
            RightAxis = history.Started is { CeilingFlops: > 0 } known
                ? new ChartRightAxis("of the GEMM ceiling (MFU)", known.FlopsPerToken / known.CeilingFlops, Human.Percent)
                : null,
            FromZero = true,
        };
    }

    private static LineChart GradientNorm(RunHistory history)
    {
        var raw = Points(history, step => step.GradientNorm);
        return new LineChart
        {
            Id = "gradient-norm",
            Title = "Gradient norm",
            Description = $"Global norm of the gradient before clipping, on a logarithmic scale; {Ends(raw)}.",
            YLabel = "norm before the clip",
            Series = [new ChartSeries("every step", raw, CurveStyle.Faint), new ChartSeries("smoothed", Smoothed(raw))],
            Marks = Moments(history),
            Logarithmic = true,
        };
    }

    // Whatever else the tasks of the recipe measured, one chart a figure.
    private static IEnumerable<LineChart> OtherMetrics(RunHistory history) => history.Evaluations
        .SelectMany(e => e.Metrics.Keys).Distinct().Where(name => name is not ("bits_per_byte" or "loss" or "perplexity")).Order(StringComparer.Ordinal)
        .Select(name => new LineChart
        {
            Id = "metric-" + name.Replace('_', '-'),
            Title = "Held-out " + name.Replace('_', ' '),
            Description = $"{name.Replace('_', ' ')} on text the model never saw.",
            YLabel = name.Replace('_', ' '),
            Series = MetricSeries(history, name),
        })
        .Where(chart => chart.Series.Any(series => series.Points.Select(point => point.Y).Distinct().Take(2).Count() > 1));

    private static List<ChartSeries> MetricSeries(RunHistory history, string metric) =>
    [
        .. history.Evaluations.Where(e => e.Metrics.ContainsKey(metric)).GroupBy(e => e.Weights)
            .OrderBy(group => group.Key == "raw" ? 0 : 1).ThenBy(group => group.Key, StringComparer.Ordinal)
            .Select(group => new ChartSeries(
                group.Key == "raw" ? "model" : group.Key + " of weights",
                [.. group.GroupBy(e => e.Step).Select(same => same.Last()).OrderBy(e => e.Step).Select(e => new ChartPoint(e.Step, e.Metrics[metric]))],
                CurveStyle.Dotted)),
    ];

    private static List<ChartMark> Moments(RunHistory history) =>
    [
        .. history.Resumes.Select(step => new ChartMark(step, $"resumed after step {Human.Whole(step)}")),
        .. history.Refused.Take(200).Select(e => new ChartMark(e.Step, $"step {Human.Whole(e.Step)} refused: {e.Reason} → {e.Action}", IsTrouble: true)),
        .. history.Recoveries.Take(200).Select(e => new ChartMark(e.Step, $"after step {Human.Whole(e.Step)}: {e.Before} processes, then {e.After}")),
    ];

    private static List<ChartPoint> Points(RunHistory history, Func<StepDone, double> value) =>
        [.. history.Steps.Select(step => new ChartPoint(step.Step, value(step))).Where(point => double.IsFinite(point.Y))];

    private static IReadOnlyList<ChartPoint> Smoothed(List<ChartPoint> raw) => Curve.Smooth(raw, Math.Clamp(raw.Count / 25.0, 1, 200));

    private static string Ends(List<ChartPoint> points) => points.Count == 0
        ? "nothing measured yet"
        : $"from {Human.Number(points[0].Y)} at step {Human.Whole(points[0].X)} to {Human.Number(points[^1].Y)} at step {Human.Whole(points[^1].X)}";
}
