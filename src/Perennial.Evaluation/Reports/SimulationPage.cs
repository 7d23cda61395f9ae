using System.Globalization;
using Perennial.Evaluation.Charts;
using Perennial.Resilience.Simulation;

namespace Perennial.Evaluation.Reports;

/// <summary>A simulation's report as a self-contained page: goodput against accelerators for every policy, and the numbers.</summary>
public static class SimulationPage
{
    /// <summary>The page.</summary>
    public static string Render(SimulationReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        var series = report.Series().Select(one => new ChartSeries(one.Name, [.. one.X.Zip(one.Y, (x, y) => new ChartPoint(Math.Log10(x), y))])).ToList();
        var chart = new LineChart
        {
            Id = "goodput", Title = "Goodput by number of accelerators", Description = "Share of the time that becomes training, for each way of going on after a fault.",
            XLabel = "accelerators, powers of ten", YLabel = "goodput", Series = series, FromZero = true, Format = value => value.ToString("P0", CultureInfo.InvariantCulture),
        };
        var figure = series.Any(one => one.Points.Count > 0) ? $"<figure><figcaption>{HtmlPage.Text(chart.Title)}</figcaption>{SvgChart.Render(chart)}</figure>" : "";
        return HtmlPage.Render($"Simulation: {report.Name}", $"<header><h1>{HtmlPage.Text(report.Name)}</h1></header>{figure}<section><h2>In numbers</h2><pre>{HtmlPage.Text(SimulationText.Of(report))}</pre></section>");
    }
}
