using Perennial.Core;
using Perennial.Experiments.Papers;
using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Reports;

/// <summary>The files of a finished experiment.</summary>
internal static class ExperimentFiles
{
    /// <summary>Writes page, table, text and, last, the result. Returns the page's path.</summary>
    public static string Write(string folder, Paper paper, ExperimentResult result, IReadOnlyDictionary<(string Arm, ulong Seed), TrialOutcome> outcomes)
    {
        Directory.CreateDirectory(folder);
        var page = Path.Combine(folder, "page.html");
        AtomicFile.WriteText(page, ExperimentPage.Render(paper, result, outcomes));
        AtomicFile.WriteText(Path.Combine(folder, "README.md"), ExperimentMarkdown.Render(result));
        AtomicFile.WriteText(Path.Combine(folder, "result.txt"), ExperimentText.Render(result));
        ResultFile.Write(Path.Combine(folder, ResultFile.Name), result);
        return page;
    }
}
