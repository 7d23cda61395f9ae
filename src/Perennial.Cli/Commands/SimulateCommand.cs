using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Evaluation.Reports;
using Perennial.Resilience.Simulation;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial simulate</c>.</summary>
internal static class SimulateCommand
{
    public static Command Create(CommandContext context)
    {
        var file = new Argument<string>("FILE") { Description = "A simulation recipe, such as recipes/simulate/cluster.yaml." };
        var page = new Option<string?>("--page") { Description = "Also write a self-contained page with the plot there." };
        var json = CommandExtensions.Json();
        return new Command("simulate", "How much of a failing cluster's time becomes training, by recovery policy and size.") { file, page, json }.Does(parsed =>
        {
            var report = Simulator.Run(SimulationRecipe.Load(parsed.GetRequiredValue(file), context.Components), context.Cancellation);
            if (parsed.GetValue(page) is { } path)
            {
                if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } folder) Directory.CreateDirectory(folder);
                AtomicFile.WriteText(path, SimulationPage.Render(report));
                context.Error.WriteLine($"page: {path}");
            }
            if (parsed.GetValue(json)) context.Out.WriteJson(new JsonObject { ["event"] = "simulation", ["report"] = JsonNode.Parse(report.ToJson()) });
            else context.Out.Write(SimulationText.Of(report));
            return ExitCode.Done;
        });
    }
}
