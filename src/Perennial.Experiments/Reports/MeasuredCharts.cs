using Perennial.Evaluation.Charts;
using Perennial.Experiments.Papers;
using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Reports;

/// <summary>The curves of an experiment: one chart a name, one curve an arm, the mean over seeds at every position that all of them have.</summary>
internal static class MeasuredCharts
{
    public static IEnumerable<LineChart> Charts(Paper paper, IReadOnlyDictionary<(string Arm, ulong Seed), TrialOutcome> outcomes)
    {
        var axes = outcomes.Values.SelectMany(outcome => outcome.Axes).DistinctBy(pair => pair.Key).ToDictionary();
        foreach (var ((name, axis), number) in axes.Select((pair, i) => (pair, i)))
        {
            yield return new LineChart
            {
                Id = $"curve-{number}", Title = name, Description = $"{axis.Y} over {axis.X}, mean over seeds, one curve an arm.", XLabel = axis.X, YLabel = axis.Y,
                Series = [.. paper.Arms.Select(arm => new ChartSeries(arm.Name, Mean(arm.Name, name), CurveStyle.Dotted)).Where(series => series.Points.Count > 0)],
            };
        }

        List<ChartPoint> Mean(string arm, string name)
        {
            var runs = outcomes.Where(pair => pair.Key.Arm == arm && pair.Value.Curves.ContainsKey(name)).Select(pair => pair.Value.Curves[name]).ToList();
            return [.. runs.SelectMany(run => run.DistinctBy(point => point.At)).GroupBy(point => point.At).Where(group => group.Count() == runs.Count)
                .OrderBy(group => group.Key).Select(group => new ChartPoint(group.Key, group.Average(point => point.Value)))];
        }
    }
}
