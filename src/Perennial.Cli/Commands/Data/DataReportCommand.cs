using System.CommandLine;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data.Accounting;
using Perennial.Data.Preparation;
using Perennial.Evaluation.Reports;
using Perennial.Training.Recipes;

namespace Perennial.Cli.Commands.Data;

/// <summary><c>perennial data report</c>.</summary>
internal static class DataReportCommand
{
    public static Command Create(CommandContext context)
    {
        var target = new Argument<string>("RECIPE|FOLDER") { Description = "A recipe (its data is prepared first), or the result of data filter or data dedup." };
        var (set, json) = (CommandExtensions.Set(), CommandExtensions.Json());
        var output = new Option<string>("--out") { Description = "The page.", DefaultValueFactory = _ => "data-report.html" };
        return new Command("report", "The account of a preparation as a page: every operator's funnel, reasons, samples of removed documents, contamination.") { target, set, output, json }.Does(parsed =>
        {
            var path = parsed.GetRequiredValue(target);
            DataAccount account;
            if (Directory.Exists(path)) account = DataAccount.Load(path);
            else
            {
                var bound = new RecipeLoader(context.Components).Load(path, parsed.GetValue(set));
                using var data = DataPreparation.Prepare(bound.Data, bound.Seed, context.Error.WriteLine, context.Cancellation);
                account = DataAccount.Load(data.Folder);
            }
            var page = parsed.GetValue(output)!;
            AtomicFile.WriteText(page, DataReport.Render(path, account));
            if (parsed.GetValue(json)) context.Out.WriteJson(DataOperatorsCommand.ToJson(account));
            else DataOperatorsCommand.WriteText(context.Out, account, page);
            return ExitCode.Done;
        });
    }
}
