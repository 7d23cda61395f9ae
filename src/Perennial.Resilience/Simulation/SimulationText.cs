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
            text.Append(text.Length > 0 ? "\n" : "").Append(CultureInfo.InvariantCulture, $"time to the first success\n  without detector {attempts.Without,10:0.00} s  (deviation {attempts.DeviationWithout:0.00})\n  with detector    {attempts.With,10:0.00} s  (deviation {attempts.DeviationWith:0.00})\n");
            text.Append("  break-even recall ").Append(attempts.BreakEvenRecall is { } recall ? recall.ToString("0.000", CultureInfo.InvariantCulture) : "none").Append(attempts.Adopt ? ": adopt\n" : ": decline\n");
        }
        return text.ToString();
    }

    private static string Scaled(double value)
    {
        foreach (var (size, letter) in new[] { (1e15, "P"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k") })
        {
            if (value >= size) return (value / size).ToString("0.00", CultureInfo.InvariantCulture) + letter;
        }
        return value.ToString("0", CultureInfo.InvariantCulture);
    }
}
