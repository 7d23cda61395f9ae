using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Cli.Launch;
using Perennial.Core;
using Perennial.Core.Recipes;
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
        var runs = new Option<string[]>("--runs") { Description = "Folder of a launched run with faults, whose recoveries calibrate the policies (repeatable; in the place of the recipe's calibration).", AllowMultipleArgumentsPerToken = true };
        var save = new Option<string?>("--save") { Description = "Write the recoveries of --runs there, as a recipe's calibration names them." };
        var json = CommandExtensions.Json();
        return new Command("simulate", "How much of a failing cluster's time becomes training, by recovery policy and size.") { file, page, runs, save, json }.Does(parsed =>
        {
            var path = parsed.GetRequiredValue(file);
            var given = parsed.GetValue(runs) ?? [];
            if (parsed.GetValue(save) is not null && given.Length == 0) throw PerennialException.Usage("--save writes the recoveries of --runs: name at least one run");
            var recorded = given.Length == 0 ? null : new MeasuredRecoveries { Runs = [.. given.SelectMany(run => Recoveries(run, context))] };
            if (recorded is not null && parsed.GetValue(save) is { } saved) AtomicFile.WriteText(saved, RecipeWriter.ToYaml(recorded));
            var (options, measured) = SimulationRecipe.Load(path, context.Components, recorded);
            var report = Simulator.Run(options, context.Cancellation);
            var validated = measured is null ? [] : RecoveryValidation.Compare(options, measured);
            if (parsed.GetValue(page) is { } target)
            {
                if (Path.GetDirectoryName(Path.GetFullPath(target)) is { } folder) Directory.CreateDirectory(folder);
                AtomicFile.WriteText(target, SimulationPage.Render(report));
                context.Error.WriteLine($"page: {target}");
            }
            if (parsed.GetValue(json))
                context.Out.WriteJson(new JsonObject
                {
                    ["event"] = "simulation", ["report"] = JsonNode.Parse(report.ToJson()),
                    ["validation"] = new JsonArray([.. validated.Select(run => (JsonNode)new JsonObject
                    {
                        ["name"] = run.Name, ["policy"] = run.Policy, ["independent"] = run.Independent, ["measured_recovery_seconds"] = run.MeasuredRecovery, ["predicted_recovery_seconds"] = run.PredictedRecovery,
                        ["recovery_error"] = CommandExtensions.Number(run.RecoveryError), ["measured_steps"] = run.MeasuredSteps, ["predicted_steps"] = run.PredictedSteps, ["step_error"] = run.StepError,
                    })]),
                });
            else
            {
                context.Out.Write(SimulationText.Of(report));
                context.Out.Write(SimulationText.Of(validated));
            }
            return ExitCode.Done;
        });
    }

    private static IReadOnlyList<MeasuredRun> Recoveries(string run, CommandContext context)
    {
        var file = Path.Combine(run, RecoveryLog.FileName);
        return File.Exists(file) ? MeasuredRecoveries.Load(file, context.Components).Runs
            : throw PerennialException.Usage($"{run}: holds no {RecoveryLog.FileName}; launch a run with --chaos first");
    }
}
