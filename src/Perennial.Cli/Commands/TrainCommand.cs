using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Cli.Launch;
using Perennial.Cli.Progress;
using Perennial.Core;
using Perennial.Evaluation.Continual;
using Perennial.Evaluation.Events;
using Perennial.Evaluation.Reports;
using Perennial.Evaluation.TensorBoard;
using Perennial.Tensors;
using Perennial.Training;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;
using Spectre.Console;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial train</c>.</summary>
internal static class TrainCommand
{
    public static Command Create(CommandContext context)
    {
        var recipe = new Argument<string>("RECIPE") { Description = "A recipe file, such as recipes/quickstart.yaml." };
        var set = CommandExtensions.Set();
        var run = new Option<string?>("--run") { Description = "The run's folder; runs/NAME by default. Running again on the same folder resumes." };
        var fresh = new Option<bool>("--fresh") { Description = "Start over, removing what an earlier run left in the folder." };
        var dry = new Option<bool>("--dry-run") { Description = "Show the resolved recipe, sizes, memory and time; train nothing." };
        var json = CommandExtensions.Json();
        return new Command("train", "Train a recipe, from the beginning or from where it stopped.") { recipe, set, run, fresh, dry, json }.Does(parsed =>
        {
            var bound = new RecipeLoader(context.Components).Load(parsed.GetRequiredValue(recipe), parsed.GetValue(set));
            TorchRuntime.Initialize();
            return parsed.GetValue(dry) ? DryRun(context, bound, parsed.GetValue(json))
                : Train(context, bound, parsed.GetValue(run) ?? Path.Combine("runs", bound.Name), parsed.GetValue(fresh), parsed.GetValue(json));
        });
    }

    private static ExitCode Train(CommandContext context, Recipe recipe, string folder, bool fresh, bool json)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(context.Error) });
        void Warn(string line) => context.Error.WriteLine(line);
        using var metrics = new MetricsFile(Warn);
        using var board = new TensorBoardWriter(warn: Warn);
        using var log = new LogFile(folder);
        using var progress = new ConsoleProgress(console, live: !json && ConsoleProgress.IsLive(console));
        using var group = WorkerGroup.Join(recipe.Name);
        List<IRunObserver> observers = [metrics, board, new ReportWriter(warn: Warn), new ForgettingFile(Warn), log];
        // Whoever launched several workers shows their progress.
        if (group is null || !json) observers.Add(progress);
        if (json) observers.Add(new JsonLines(context.Out));
        var options = new TrainingRunOptions { Parallel = group?.Settings, Memory = WorkerGroup.Memory, RunFolder = folder, Fresh = fresh && group is null, Yardsticks = true, MeasureCeiling = precision => MachineProbe.ProductCeiling(precision) };
        var result = new TrainingRun(context.Components).Execute(recipe, options, observers, context.Cancellation);
        return result.Completed ? ExitCode.Done : ExitCode.Interrupted;
    }

    private static ExitCode DryRun(CommandContext context, Recipe recipe, bool json)
    {
        var plan = RunPlan.Of(recipe, precision => MachineProbe.ProductCeiling(precision), context.Error.WriteLine);
        if (json)
        {
            context.Out.WriteJson(new JsonObject
            {
                ["event"] = "plan", ["recipe"] = plan.Recipe, ["parameters"] = plan.Parameters, ["tokens"] = plan.Tokens, ["steps"] = plan.Steps, ["epochs"] = plan.Epochs,
                ["memory_bytes"] = plan.Memory.Total, ["seconds"] = plan.Seconds,
            });
            return ExitCode.Done;
        }
        context.Out.Write(plan.Recipe);
        context.Out.WriteLine($"# parameters  {plan.Parameters:N0}");
        context.Out.WriteLine($"# tokens      {plan.Tokens:N0} in {plan.Steps:N0} steps, {plan.Epochs:F2} passes over the training text");
        context.Out.WriteLine($"# memory      about {plan.Memory.Total >> 20:N0} MiB: weights {plan.Memory.Weights >> 20}, gradients {plan.Memory.Gradients >> 20}, slots {plan.Memory.Slots >> 20}, copies {plan.Memory.Copies >> 20}, activations {plan.Memory.Activations >> 20}, runtime the rest");
        if (plan.Seconds is { } seconds) context.Out.WriteLine($"# time        about {TimeSpan.FromSeconds(Math.Ceiling(seconds)):c} (at 70 % of the measured matrix-product speed)");
        return ExitCode.Done;
    }
}
