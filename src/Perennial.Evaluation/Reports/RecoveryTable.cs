using Perennial.Core;
using Perennial.Evaluation.Charts;
using Perennial.Training;

namespace Perennial.Evaluation.Reports;

/// <summary>Recoveries with the time of each phase, and the medians.</summary>
internal static class RecoveryTable
{
    private static readonly (string Name, Func<RecoveryPhases, double> Value)[] Phases =
    [
        ("detect", phases => phases.Detect), ("agree", phases => phases.Agree), ("group", phases => phases.Group),
        ("plan", phases => phases.Plan), ("move", phases => phases.Move), ("replay", phases => phases.Replay),
    ];

    public static string Render(IReadOnlyList<Recovered> recoveries) => HtmlPage.Table(
        ["after step", "processes", .. Phases.Select(phase => phase.Name), "what happened"],
        [
            .. recoveries.TakeLast(50).Select(e => (IEnumerable<string>)[Human.Whole(e.Step), $"{e.Before} → {e.After}", .. Phases.Select(phase => Time(phase.Value(e.Phases))), HtmlPage.Text(e.Reason)]),
            ["<b>median</b>", "", .. Phases.Select(phase => $"<b>{Time(Median(recoveries.Select(e => phase.Value(e.Phases))))}</b>"), ""],
        ]);

    private static string Time(double seconds) => double.IsFinite(seconds) ? FormattableString.Invariant($"{seconds * 1000:0.0} ms") : "–";

    private static double Median(IEnumerable<double> values) => Quantile.Median(values.Where(double.IsFinite).DefaultIfEmpty(double.NaN));
}
