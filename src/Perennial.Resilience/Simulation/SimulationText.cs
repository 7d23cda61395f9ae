using System.Globalization;
using System.Text;

namespace Perennial.Resilience.Simulation;

/// <summary>A report as plain text, for a terminal.</summary>
public static class SimulationText
{
    /// <summary>The tables of a report, with a line break at the end.</summary>
    public static string Of(SimulationReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        var text = new StringBuilder();
        if (report.Points.Count > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"{report.Name}: {report.Days:0.###} days, {report.Repetitions} runs a point, seed {report.Seed}\n\n");
            text.Append("accelerators  policy         goodput  degraded  stalls    down    lost  faults  disk %  recovery s: median      p95      p99   tokens\n");
            foreach (var size in report.Points.GroupBy(point => point.Accelerators))
            {
                foreach (var point in size)
                {
                    var (shares, recovery) = (point.Shares, point.RecoverySeconds);
                    text.Append(CultureInfo.InvariantCulture, $"{point.Accelerators,12}  {point.Policy,-13} {100 * point.Goodput,7:0.00}%  {100 * shares.Degraded,7:0.00}% {100 * shares.Stalls,6:0.00}% {100 * shares.Down,6:0.00}% {100 * shares.Lost,6:0.00}% {point.Faults,7:0} {100 * point.FromDisk,7:0.0}  {recovery.Median,18:0.0} {recovery.P95,8:0.0} {recovery.P99,8:0.0} {Scaled(point.Tokens),8}\n");
                }
            }
        }
        foreach (var loss in report.Cases)
        {
            text.Append(text.Length > 0 ? "\n" : "").Append(CultureInfo.InvariantCulture, $"{loss.Name} ({loss.Lost} lost)\n  policy         step time  throughput  per live rank\n");
            foreach (var entry in loss.Entries)
                text.Append(CultureInfo.InvariantCulture, $"  {entry.Policy,-13} {(entry.StepFactor is { } factor ? factor.ToString("0.000", CultureInfo.InvariantCulture) : "-"),10} {100 * entry.Throughput,10:0.0}% {100 * entry.PerLive,13:0.0}%  {entry.Way}\n");
        }
        if (report.Attempts is { } attempts)
        {
            text.Append(text.Length > 0 ? "\n" : "").Append(CultureInfo.InvariantCulture, $"time to the first success\n  without detector {attempts.Without,10:0.00} s  (deviation {attempts.DeviationWithout:0.00}{Drawn(attempts.DrawnWithout, attempts.Without)})\n  with detector    {attempts.With,10:0.00} s  (deviation {attempts.DeviationWith:0.00}{Drawn(attempts.DrawnWith, attempts.With)})\n");
            text.Append("  break-even recall ").Append(attempts.BreakEvenRecall is { } recall ? recall.ToString("0.000", CultureInfo.InvariantCulture) : "none").Append(attempts.Adopt ? ": adopt\n" : ": decline\n");
        }
        return text.ToString();
    }

    /// <summary>Predicted against measured runs, with a line break at the end; empty without any.</summary>
    public static string Of(IReadOnlyList<ValidatedRun> validated)
    {
        ArgumentNullException.ThrowIfNull(validated);
        if (validated.Count == 0) return "";
        var text = new StringBuilder("\nmeasured runs played again (phase times from other runs of as many ranks)\n  run                                  policy        recovery s: measured predicted   error   steps: measured predicted   error\n");
        foreach (var run in validated)
            text.Append(CultureInfo.InvariantCulture, $"  {run.Name,-36} {run.Policy,-13} {run.MeasuredRecovery,20:0.000} {run.PredictedRecovery,9:0.000} {100 * run.RecoveryError,6:0.0}% {run.MeasuredSteps,17} {run.PredictedSteps,9} {100 * run.StepError,6:0.0}%{(run.Independent ? "" : "  (its own times)")}\n");
        foreach (var policy in validated.GroupBy(run => run.Policy))
        {
            var (measured, predicted) = (policy.Average(run => run.MeasuredRecovery), policy.Average(run => run.PredictedRecovery));
            text.Append(CultureInfo.InvariantCulture, $"  mean of {policy.Count()} runs{"",-23} {policy.Key,-13} {measured,20:0.000} {predicted,9:0.000} {100 * Math.Abs(predicted / measured - 1),6:0.0}% {policy.Sum(run => run.MeasuredSteps),17} {policy.Sum(run => run.PredictedSteps),9} {100.0 * Math.Abs(policy.Sum(run => run.PredictedSteps) / (double)policy.Sum(run => run.MeasuredSteps) - 1),6:0.0}%\n");
        }
        return text.ToString();
    }

    private static string Drawn(double? drawn, double formula) => drawn is not { } mean ? "" : string.Create(CultureInfo.InvariantCulture, $"; drawn {mean:0.00}, {100 * Math.Abs(mean / formula - 1):0.00} % off");

    private static string Scaled(double value)
    {
        foreach (var (size, letter) in new[] { (1e15, "P"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k") })
        {
            if (value >= size) return (value / size).ToString("0.00", CultureInfo.InvariantCulture) + letter;
        }
        return value.ToString("0", CultureInfo.InvariantCulture);
    }
}
