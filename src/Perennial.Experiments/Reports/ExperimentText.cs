using System.Text;

namespace Perennial.Experiments.Reports;

/// <summary>A result as plain text for a terminal.</summary>
public static class ExperimentText
{
    /// <summary>The whole result: cells, conditions, claim, verdict.</summary>
    public static string Render(ExperimentResult result)
    {
        ArgumentNullException.ThrowIfNull(result);
        var (text, figures) = (new StringBuilder(), Figures.Of(result));
        text.Append($"Paper {result.Number:00}: {result.Title}\n");
        text.Append($"{Figures.Effort(result)}, size '{result.Tier}', seeds {string.Join(", ", result.Seeds)}\n\n");
        foreach (var tuning in result.AllSearches)
        {
            text.Append($"Search: {tuning.Key} on {tuning.Cell} (seed {string.Join(", ", tuning.Seeds)}){(result.Tuning is null ? "" : ", then fixed for all arms")}\n");
            foreach (var tried in tuning.Tried) text.Append($"  {tried.Value,-10} {figures.Value(tried.Mean)}{(tried.Value == tuning.Chosen ? "  <- used" : "")}\n");
            if (tuning.AtEdge) text.Append("  the best value lies at the edge of the search; a better one may lie outside\n");
            text.Append('\n');
        }
        var width = Math.Max(4, result.Cells.Max(cell => cell.Cell.Length));
        text.Append($"{"cell".PadRight(width)}  mean {result.Metric} [95 % interval]     each seed\n");
        foreach (var cell in result.Cells)
            text.Append($"{cell.Cell.PadRight(width)}  {figures.Value(cell.Mean)}   {figures.Values(cell.Values)}{(cell.IsLowest ? "  <- lowest" : "")}\n");
        text.Append("\nPaired differences (seed by seed)\n");
        foreach (var hypothesis in result.Hypotheses)
        {
            text.Append($"({hypothesis.Id}) {hypothesis.Statement}: {Figures.Mark(hypothesis.Holds)}{(hypothesis.Decides ? " (decides)" : "")}\n");
            foreach (var condition in hypothesis.Conditions)
            {
                text.Append($"    {condition.Text}\n");
                text.Append(condition.Mean is { } mean
                    ? $"      {figures.Signed(mean)}; each seed {string.Join("  ", condition.Values.Select(figures.Signed))}; {condition.Meeting} of {condition.Values.Count} meet it: {Figures.Mark(condition.Holds)}\n"
                    : $"      {condition.Found}: {Figures.Mark(condition.Holds)}\n");
            }
        }
        text.Append($"\nClaim: {OneLine(result.Claim)}\nRule: {result.Rule}\nVerdict: {result.Verdict}\n");
        return text.ToString();
    }

    /// <summary>Text from a folded YAML block in one line.</summary>
    public static string OneLine(string text) => string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
}
