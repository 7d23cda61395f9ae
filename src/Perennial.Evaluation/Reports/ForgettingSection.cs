using System.Text;
using Perennial.Evaluation.Charts;
using Perennial.Evaluation.Continual;
using Perennial.Evaluation.Events;
using static Perennial.Evaluation.Reports.HtmlPage;

namespace Perennial.Evaluation.Reports;

/// <summary>What every stage did to every text: a curve of each text over the run, the matrix, transfers and gaps.</summary>
internal static class ForgettingSection
{
    public static string Render(RunHistory history)
    {
        if (history.StageTexts.Count == 0) return "";
        var html = new StringBuilder("<section class=\"charts\" aria-label=\"Stages\"><figure><figcaption>Held-out text of every stage</figcaption>").Append(SvgChart.Render(Chart(history))).Append("</figure></section>\n");
        if (ForgettingMatrix.Of(history.StageTexts) is not { } matrix) return html.ToString();
        html.Append("<section><h2>What every stage did to every text</h2>").Append(Table(
            ["bits per byte after", .. matrix.Texts],
            matrix.Rows.Select(row => row.BitsPerByte.Select((bits, j) => Cell(row, matrix.Texts[j], bits)).Prepend(Text(row.Stage)))));
        html.Append(Table(
            ["nats a token", "right after its stage", "at the end", "forgotten", "backward transfer", "forward transfer"],
            matrix.Transfers.Select(text => new[] { Text(text.Text), Number(text.Learned), Number(text.Final), Number(text.Forgetting), Number(text.BackwardTransfer), Number(text.ForwardTransfer) })
                .Append(["mean", Number(matrix.Learned), Number(matrix.Retained), Number(matrix.Forgetting), Number(matrix.BackwardTransfer), Number(matrix.ForwardTransfer)])));
        if (matrix.Gaps.Count > 0)
        {
            html.Append(Table(
                ["stability gap in stage", "on text", "depth, nats a token", "worst at its step", "recovered at its step", "area, nats · steps"],
                matrix.Gaps.Select(gap => new[] { Text(gap.Stage), Text(gap.Text), Number(gap.Depth), Human.Whole(gap.WorstStep), gap.RecoveredStep is { } step ? Human.Whole(step) : "not", Number(gap.Area) })));
        }
        return html.Append("</section>\n").ToString();
    }

    private static LineChart Chart(RunHistory history)
    {
        var raw = history.StageTexts.Where(e => e.Weights == "raw").OrderBy(e => e.Step).ToList();
        var texts = raw[^1].Texts.Select(text => text.Text).ToList();
        return new LineChart
        {
            Id = "stages", Title = "Held-out text of every stage", Description = "Bits per byte on each stage's held-out text over the run; vertical lines mark ends of stages.", YLabel = "bits per byte",
            Series = [.. texts.Select(text => new ChartSeries(text,
                [.. raw.Select(e => (e.Step, Metrics: e.Texts.FirstOrDefault(one => one.Text == text)?.Metrics)).Where(point => point.Metrics?.ContainsKey("bits_per_byte") == true)
                    .Select(point => new ChartPoint(point.Step, point.Metrics!["bits_per_byte"]))], CurveStyle.Dotted))],
            Marks = [.. history.Stages.Select(stage => new ChartMark(stage.Step, $"{stage.Name} ends"))],
        };
    }

    private static string Cell(ForgettingRow row, string text, double bits) => row.Own == text ? $"<strong>{Human.Fixed(bits, 3)}</strong>" : Human.Fixed(bits, 3);

    private static string Number(double value) => double.IsFinite(value) ? Human.Fixed(value, 3) : "–";
}
