using System.Text;
using Perennial.Evaluation.Charts;
using Perennial.Evaluation.Reports;
using Perennial.Experiments.Papers;
using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Reports;

/// <summary>A result as a page that needs nothing but itself: verdict, cells, conditions, curves, search, recipe of every arm.</summary>
public static class ExperimentPage
{
    /// <summary>The page.</summary>
    /// <param name="paper">The paper.</param>
    /// <param name="result">Its result.</param>
    /// <param name="outcomes">Every run, for the curves.</param>
    public static string Render(Paper paper, ExperimentResult result, IReadOnlyDictionary<(string Arm, ulong Seed), TrialOutcome> outcomes)
    {
        ArgumentNullException.ThrowIfNull(paper);
        ArgumentNullException.ThrowIfNull(result);
        var (body, figures) = (new StringBuilder(ForestPlot.Style), Figures.Of(result));
        Head(body, result, figures);
        Cells(body, paper, result, figures);
        Hypotheses(body, result, figures);
        var charts = (paper.Experiment is null ? ArmCurves.Charts(paper, outcomes) : MeasuredCharts.Charts(paper, outcomes)).ToList();
        if (charts.Count > 0) body.Append($"<section><h2>{(result.Measured ? "Curves" : "Along the run")}</h2><div class=\"charts\">");
        foreach (var chart in charts) body.Append($"<figure><figcaption>{HtmlPage.Text(chart.Title)}</figcaption>{SvgChart.Render(chart)}</figure>");
        if (charts.Count > 0) body.Append("</div></section>");
        Search(body, result, figures);
        if (result.Notes.Count > 0) body.Append($"<section><h2>Remarks</h2><ul class=\"notices\">{string.Concat(result.Notes.Select(note => $"<li>{HtmlPage.Text(ExperimentText.OneLine(note))}</li>"))}</ul></section>");
        Recipes(body, paper);
        body.Append($"<footer>Finished {result.Finished:yyyy-MM-dd HH:mm} UTC on {HtmlPage.Text(result.Machine)}. {HtmlPage.Text(result.Rule)}</footer>");
        return HtmlPage.Render($"Paper {result.Number:00}: {result.Title}", body.ToString());
    }

    private static void Head(StringBuilder body, ExperimentResult result, Figures figures)
    {
        body.Append($"<header><p class=\"kind\">Paper {result.Number:00} <span class=\"state {(result.Verdict == "holds" ? "finished" : "interrupted")}\">{HtmlPage.Text(result.Verdict)}</span></p><h1>{HtmlPage.Text(result.Title)}</h1>");
        body.Append($"<p class=\"verdict\">{HtmlPage.Text(ExperimentText.OneLine(result.Claim))}</p></header><dl class=\"tiles\">");
        Tile("Verdict", result.Verdict, $"{result.Hypotheses.Count(one => one.Holds)} of {result.Hypotheses.Count} hypotheses hold");
        if (!result.Measured) Tile("Lowest", figures.Value(result.Cells.Single(cell => cell.IsLowest).Mean.Mean), $"{result.Metric}, {result.Cells.Single(cell => cell.IsLowest).Cell}");
        Tile("Runs", Human.Whole(result.Runs), $"seeds {string.Join(", ", result.Seeds)}");
        if (result.TokensPerRun > 0) Tile("A run", Human.Number(result.TokensPerRun), $"tokens, {Human.Number(result.Parameters)} parameters");
        if (result.Flops > 0) Tile("Compute", $"{result.Flops:0.0e+0}", $"floating-point operations in {Human.Duration(result.Seconds)}");
        else Tile("Time", Human.Duration(result.Seconds), "of the call that finished it");
        body.Append($"</dl><p>{HtmlPage.Text(ExperimentText.OneLine(result.Measure))}</p>");

        void Tile(string name, string value, string small) => body.Append($"<div><dt>{name}</dt><dd>{HtmlPage.Text(value)}<small>{HtmlPage.Text(small)}</small></dd></div>");
    }

    private static void Cells(StringBuilder body, Paper paper, ExperimentResult result, Figures figures)
    {
        var groups = paper.Arms.Select(arm => arm.Group).Distinct().ToList();
        // Cells of one unit share a plot: all of a training's, those of one measure of an experiment's.
        var plots = result.Cells.GroupBy(cell => result.Measured ? cell.Weights : result.Metric).ToList();
        body.Append("<section><h2>Every cell</h2>");
        foreach (var (plot, number) in plots.Select((plot, i) => (plot, i)))
        {
            var rows = plot.Select(cell => new ForestRow(result.Measured ? cell.Arm : cell.Cell, cell.Mean, cell.Values, groups.IndexOf(paper.Arms.Single(arm => arm.Name == cell.Arm).Group) % 6, cell.IsLowest)).ToList();
            var (name, better) = (plot.Key, result.Measured ? "" : " (lower is better)");
            body.Append("<figure>").Append(ForestPlot.Render(number == 0 ? "cells" : $"cells-{number}", $"{name} of every {(result.Measured ? "arm" : "cell")}", $"Mean over seeds, 95 % interval and single seeds of {name}{better}.",
                $"{name}{better}; dot: mean, line: 95 % interval, small dots: seeds", rows, figures)).Append("</figure>");
        }
        body.Append(HtmlPage.Table(["cell", $"mean {result.Metric}", "95 % interval", .. result.Seeds.Select(seed => $"seed {seed}")],
            result.Cells.Select(cell => (IEnumerable<string>)[cell.IsLowest ? $"<b>{HtmlPage.Text(cell.Cell)}</b>" : HtmlPage.Text(cell.Cell), figures.Value(cell.Mean.Mean),
                $"{figures.Value(cell.Mean.Low)} … {figures.Value(cell.Mean.High)}", .. cell.Values.Select(figures.Value)])));
        body.Append("</section>");
    }

    private static void Hypotheses(StringBuilder body, ExperimentResult result, Figures figures)
    {
        body.Append("<section><h2>What must come out</h2>");
        foreach (var hypothesis in result.Hypotheses)
        {
            body.Append($"<h3 style=\"text-transform:none\">({HtmlPage.Text(hypothesis.Id)}) {HtmlPage.Text(hypothesis.Statement)}: {State(hypothesis.Holds)}{(hypothesis.Decides ? " <span class=\"deciding\">decides</span>" : "")}</h3>");
            body.Append(HtmlPage.Table(["condition", "mean [95 % interval]", "each seed", "seeds", ""], hypothesis.Conditions.Select(condition => (IEnumerable<string>)
            [
                HtmlPage.Text(condition.Text),
                condition.Mean is { } mean ? figures.Signed(mean) : HtmlPage.Text(condition.Found),
                string.Join(" ", condition.Values.Select(figures.Signed)),
                condition.Mean is null ? "" : $"{condition.Meeting} of {condition.Values.Count}",
                State(condition.Holds),
            ])));
            body.Append("<p></p>");
        }
        body.Append("</section>");

        static string State(bool holds) => $"<b class=\"{Figures.Mark(holds)}\">{Figures.Mark(holds)}</b>";
    }

    private static void Search(StringBuilder body, ExperimentResult result, Figures figures)
    {
        if (!result.AllSearches.Any()) return;
        body.Append($"<section><h2>{(result.Tuning is null ? "Each arm's own search, over the same values" : "Search shared by all arms")}</h2>");
        foreach (var tuning in result.AllSearches)
        {
            body.Append($"<p><code>{HtmlPage.Text(tuning.Key)}</code> was chosen on <b>{HtmlPage.Text(tuning.Cell)}</b> (seed {string.Join(", ", tuning.Seeds)}) and then fixed{(tuning.AtEdge ? "; the best value lies at the edge of the search, a better one may lie outside" : "")}.</p>");
            body.Append(HtmlPage.Table(["value", $"mean {result.Metric}", ""], tuning.Tried.Select(tried => (IEnumerable<string>)[HtmlPage.Text(tried.Value), figures.Value(tried.Mean), tried.Value == tuning.Chosen ? "used" : ""])));
        }
        body.Append("</section>");
    }

    private static void Recipes(StringBuilder body, Paper paper)
    {
        body.Append("<section><h2>Arms</h2>").Append(HtmlPage.Table(["arm", "group", "changes of the base recipe"], paper.Arms.Select(arm => (IEnumerable<string>)
            [HtmlPage.Text(arm.Name), HtmlPage.Text(arm.Group), $"<code>{HtmlPage.Text(string.Join("; ", arm.Set.Select(pair => $"{pair.Key}: {NodeText.Of(pair.Value)}")))}</code>"]))).Append("</section>");
    }
}
