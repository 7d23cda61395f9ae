using System.Text;
using Perennial.Experiments.Papers;
using Perennial.Experiments.Reports;

namespace Perennial.Experiments.Catalog;

/// <summary>The catalogue as plain text for a terminal.</summary>
public static class CatalogText
{
    /// <summary>All papers, one a line: number, status, last verdict, title.</summary>
    /// <param name="catalog">The catalogue.</param>
    /// <param name="runs">The folder that holds experiments.</param>
    public static string List(PaperCatalog catalog, string runs)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        var text = new StringBuilder("no  status   last verdict        title\n");
        foreach (var entry in catalog.Entries)
            text.Append($"{entry.Number:00}  {entry.Status.ToString().ToLowerInvariant(),-7}  {catalog.Last(entry, runs)?.Result.Verdict ?? "–",-18}  {entry.Title} ({entry.Year})\n");
        var counts = catalog.Entries.CountBy(entry => entry.Status).ToDictionary();
        text.Append($"{catalog.Entries.Count} papers: {counts.GetValueOrDefault(PaperStatus.Works)} work, {counts.GetValueOrDefault(PaperStatus.Partial)} partial, {counts.GetValueOrDefault(PaperStatus.None)} not built yet\n");
        return text.ToString();
    }

    /// <summary>One paper: claim, hypotheses, arms, budget, last result.</summary>
    /// <param name="catalog">The catalogue.</param>
    /// <param name="entry">The paper.</param>
    /// <param name="runs">The folder that holds experiments.</param>
    public static string Show(PaperCatalog catalog, CatalogEntry entry, string runs)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(entry);
        var text = new StringBuilder($"Paper {entry.Number:00}: {entry.Title} ({entry.Year}{(entry.Arxiv is null ? "" : $", arXiv {entry.Arxiv}")})\n{entry.Gives}\nStatus: {entry.Status.ToString().ToLowerInvariant()}\n");
        if (!catalog.IsBuilt(entry)) return text.Append("Not built yet: there is nothing to run.\n").ToString();
        var paper = catalog.Load(entry);
        text.Append($"\nClaim: {ExperimentText.OneLine(paper.Claim)}\nMeasured here: {ExperimentText.OneLine(paper.Measure)}\n\nHypotheses{(paper.Experiment is null ? $" ({paper.Metric}; lower is better)" : "")}\n");
        foreach (var hypothesis in paper.Hypotheses) text.Append($"  ({hypothesis.Id}) {hypothesis.Statement}{(hypothesis.Decides ? " (decides)" : "")}\n");
        text.Append(paper.Experiment is { } experiment
            ? $"\nExperiment: {NodeText.Of(experiment)}\nArms (judged: {string.Join(", ", paper.Measures)})\n"
            : $"\nArms (weights judged: {string.Join(", ", paper.Weights)})\n");
        foreach (var arm in paper.Arms) text.Append($"  {arm.Name}: {string.Join("; ", arm.Set.Select(pair => $"{pair.Key}: {NodeText.Of(pair.Value)}"))}\n");
        if (paper.Tuning is { } tuning) text.Append($"Search: {tuning.Key} in [{string.Join(", ", tuning.Values.Select(NodeText.Of))}], on {tuning.Arm}, {tuning.Seeds} seed(s)\n");
        text.Append($"Budget: {paper.Budget.Kind switch { BudgetKind.EqualTokens => "equal tokens", BudgetKind.EqualCompute => "equal compute", _ => "as stated" }}; sizes (about, on two cores): {string.Join(", ", paper.Budget.Tiers.Select(tier => $"{tier.Minutes:0.##} min with {tier.Seeds} seeds{(tier == paper.Budget.Choose(null) ? " (default)" : "")}"))}\n");
        return text.Append(catalog.Last(entry, runs) is { } last
            ? $"\nLast result ({(last.MeasuredHere ? "measured here" : "as the repository states it")}, {last.Path})\n\n{ExperimentText.Render(last.Result)}"
            : "\nNo result yet.\n").ToString();
    }
}
