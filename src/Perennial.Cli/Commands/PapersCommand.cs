using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Cli.Progress;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Experiments.Catalog;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Reports;
using Perennial.Experiments.Runs;
using Perennial.Tensors;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial papers list|show|run</c>.</summary>
internal static class PapersCommand
{
    private const string Runs = "runs/papers";

    public static Command Create(CommandContext context) => new("papers", "Re-run the claims of research papers.") { List(context), Show(context), Run(context) };

    private static PaperCatalog Catalog(CommandContext context) => new(PaperCatalog.Find(Directory.GetCurrentDirectory()), new RecipeBinder(context.Components));

    private static Command List(CommandContext context)
    {
        var json = CommandExtensions.Json();
        return new Command("list", "All papers, what is built of each, and the last verdict.") { json }.Does(parsed =>
        {
            var catalog = Catalog(context);
            if (!parsed.GetValue(json)) context.Out.Write(CatalogText.List(catalog, Runs));
            else foreach (var entry in catalog.Entries) context.Out.WriteJson(ToJson(catalog, entry));
            return ExitCode.Done;
        });
    }

    private static JsonObject ToJson(PaperCatalog catalog, CatalogEntry entry) => new()
    {
        ["event"] = "paper", ["number"] = entry.Number, ["title"] = entry.Title, ["year"] = entry.Year, ["status"] = entry.Status.ToString().ToLowerInvariant(),
        ["verdict"] = catalog.Last(entry, Runs)?.Result.Verdict,
    };

    private static Command Show(CommandContext context)
    {
        var (wanted, json) = (Wanted(), CommandExtensions.Json());
        return new Command("show", "A paper's claim, arms, budget and last result.") { wanted, json }.Does(parsed =>
        {
            var catalog = Catalog(context);
            var entry = catalog.Entry(parsed.GetRequiredValue(wanted));
            if (parsed.GetValue(json))
            {
                var line = ToJson(catalog, entry);
                line["claim"] = catalog.IsBuilt(entry) ? ExperimentText.OneLine(catalog.Load(entry).Claim) : null;
                line["result"] = catalog.Last(entry, Runs) is { } last ? JsonSerializer.SerializeToNode(last.Result, ResultFile.Json) : null;
                context.Out.WriteJson(line);
            }
            else
                context.Out.Write(CatalogText.Show(catalog, entry, Runs));
            return ExitCode.Done;
        });
    }

    private static Command Run(CommandContext context)
    {
        var wanted = new Argument<string?>("NN") { Description = "The paper's number or slug.", Arity = ArgumentArity.ZeroOrOne };
        var all = new Option<bool>("--all") { Description = "Every paper that is built." };
        var seeds = new Option<int?>("--seeds") { Description = "How many seeds." };
        var budget = new Option<double?>("--budget") { Description = "Minutes; picks one of the paper's stated sizes." };
        var fresh = new Option<bool>("--fresh") { Description = "Start over instead of going on." };
        var json = CommandExtensions.Json();
        return new Command("run", "Train or measure every arm of a paper's comparison and judge its claims by the stated rule. Running again goes on where it stopped.") { wanted, all, seeds, budget, fresh, json }.Does(parsed =>
        {
            var catalog = Catalog(context);
            var entries = parsed.GetValue(all) ? catalog.Entries.Where(catalog.IsBuilt).ToList()
                : [catalog.Entry(parsed.GetValue(wanted) ?? throw PerennialException.Usage("which paper? give its number, or --all"))];
            TorchRuntime.Initialize();
            foreach (var entry in entries)
            {
                var options = new ExperimentOptions
                {
                    Folder = Path.Combine(Runs, entry.Name), Seeds = parsed.GetValue(seeds), BudgetMinutes = parsed.GetValue(budget), Fresh = parsed.GetValue(fresh),
                };
                var paper = catalog.Load(entry);
                ITrialRunner runner = paper.Experiment is null ? new TrainingTrialRunner(context.Components)
                    : new ExperimentTrialRunner(context.Components, ProgramCommand.Current(typeof(PapersCommand).Assembly.Location));
                var result = ExperimentRun.Execute(paper, options, runner, new ExperimentLines(context.Error), context.Cancellation);
                if (parsed.GetValue(json))
                    context.Out.WriteJson(new JsonObject { ["event"] = "experiment", ["paper"] = entry.Number, ["result"] = JsonSerializer.SerializeToNode(result, ResultFile.Json) });
                else
                    context.Out.Write(ExperimentText.Render(result));
            }
            return ExitCode.Done;
        });
    }

    private static Argument<string> Wanted() => new("NN") { Description = "The paper's number or slug." };
}
