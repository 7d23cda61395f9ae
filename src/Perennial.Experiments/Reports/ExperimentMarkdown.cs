using System.Text;

namespace Perennial.Experiments.Reports;

/// <summary>A result as a Markdown page.</summary>
public static class ExperimentMarkdown
{
    /// <summary>The page.</summary>
    public static string Render(ExperimentResult result)
    {
        ArgumentNullException.ThrowIfNull(result);
        var (text, figures) = (new StringBuilder(), Figures.Of(result));
        text.Append($"# Paper {result.Number:00}: {result.Title}\n\n**Verdict: {result.Verdict}.** {Figures.Effort(result)}, seeds {string.Join(", ", result.Seeds)}, {Evaluation.Charts.Human.Duration(result.Seconds)} on {result.Machine}.\n\n");
        text.Append($"| cell | mean {result.Metric} [95 %] | each seed |\n|---|---|---|\n");
        foreach (var cell in result.Cells)
            text.Append($"| {(cell.IsLowest ? $"**{cell.Cell}**" : cell.Cell)} | {figures.Value(cell.Mean)} | {figures.Values(cell.Values)} |\n");
        text.Append("\n| | condition | mean [95 %] | seeds | |\n|---|---|---|---|---|\n");
        foreach (var hypothesis in result.Hypotheses)
            foreach (var condition in hypothesis.Conditions)
                text.Append($"| {hypothesis.Id} | {condition.Text} | {(condition.Mean is { } mean ? figures.Signed(mean) : condition.Found)} | {(condition.Mean is null ? "" : $"{condition.Meeting}/{condition.Values.Count}")} | {Figures.Mark(condition.Holds)} |\n");
        text.Append($"\n{result.Rule}\n");
        foreach (var tuning in result.AllSearches)
            text.Append($"\nSearch: `{tuning.Key}` on {tuning.Cell}, seed {string.Join(", ", tuning.Seeds)}: {string.Join(", ", tuning.Tried.Select(tried => $"{tried.Value} → {figures.Value(tried.Mean)}"))}; used {tuning.Chosen}{(tuning.AtEdge ? " (at the edge of the search)" : "")}.\n");
        return text.ToString();
    }
}
