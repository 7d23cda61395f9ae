using Perennial.Evaluation.Charts;
using Perennial.Experiments.Papers;
using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Reports;

/// <summary>The curves of a comparison: each arm's mean over seeds, arms of one group in one chart.</summary>
internal static class ArmCurves
{
    public static IEnumerable<LineChart> Charts(Paper paper, IReadOnlyDictionary<(string Arm, ulong Seed), TrialOutcome> outcomes)
    {
        foreach (var (group, number) in paper.Arms.GroupBy(arm => arm.Group).Select((group, i) => (group, i)))
        {
            foreach (var weights in paper.Weights)
            {
                var curve = $"{weights}/{paper.Metric}";
                var series = Series(group, outcomes, curve, CurveStyle.Dotted);
                if (series.All(one => one.Points.Count < 2)) continue;
                yield return new LineChart
                {
                    Id = $"curve-{number}-{weights}", Title = $"{group.Key}: held-out {paper.Metric}{(weights == Cell.Raw ? "" : $" of the weights '{weights}'")}",
                    Description = $"Mean over seeds of the held-out {paper.Metric} along the run, one curve an arm.",
                    XLabel = "tokens", YLabel = paper.Metric, Series = Late(series), Format = value => Human.Fixed(value, 3),
                };
            }
        }
        var rates = paper.Arms.GroupBy(arm => arm.Group).Select(group => group.First()).ToList();
        var rateCurves = Series(rates, outcomes, "rate", CurveStyle.Line).Zip(rates, (series, arm) => series with { Name = arm.Group }).ToList();
        if (rateCurves.Any(one => one.Points.Count > 1))
            yield return new LineChart { Id = "rates", Title = "Learning rate", Description = "Learning rate along the run, one curve a group of arms.", XLabel = "tokens", YLabel = "learning rate", FromZero = true, Series = rateCurves };
    }

    private static List<ChartSeries> Series(IEnumerable<Arm> arms, IReadOnlyDictionary<(string Arm, ulong Seed), TrialOutcome> outcomes, string curve, CurveStyle style) =>
        [.. arms.Select(arm => new ChartSeries(arm.Name, Mean([.. outcomes.Where(pair => pair.Key.Arm == arm.Name && pair.Value.Curves.ContainsKey(curve)).OrderBy(pair => pair.Key.Seed).Select(pair => pair.Value.Curves[curve])]), style))];

    /// <summary>The mean over runs at every position that all of them have.</summary>
    private static List<ChartPoint> Mean(IReadOnlyList<IReadOnlyList<CurvePoint>> runs) => runs.Count == 0 ? [] :
        [.. runs.SelectMany(run => run.DistinctBy(point => point.At)).GroupBy(point => point.At).Where(group => group.Count() == runs.Count)
            .OrderBy(group => group.Key).Select(group => new ChartPoint(group.Key, group.Average(point => point.Value)))];

    /// <summary>Without the first points where the loss still falls steeply: differences between arms are the subject.</summary>
    private static List<ChartSeries> Late(List<ChartSeries> series) =>
        [.. series.Select(one => one with { Points = [.. one.Points.Skip(one.Points.Count > 5 ? one.Points.Count / 5 : 0)] })];
}
