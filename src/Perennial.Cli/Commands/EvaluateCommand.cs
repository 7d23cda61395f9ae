using System.CommandLine;
using Perennial.Cli.Evaluate;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Evaluation.Checkpoints;
using Perennial.Tensors;
using Spectre.Console;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial evaluate</c>.</summary>
internal static class EvaluateCommand
{
    public static Command Create(CommandContext context)
    {
        var path = new Argument<string>("DIR") { Description = "A run folder (its newest whole checkpoint), a checkpoint, or a Hugging Face folder." };
        var text = new Option<string?>("--text") { Description = "A UTF-8 text file (also .gz or .zst) to measure on; by default the run's own held-out text." };
        var tasks = new Option<string>("--tasks") { Description = "What to measure, separated by commas.", DefaultValueFactory = _ => "bits-per-byte" };
        var json = CommandExtensions.Json();
        return new Command("evaluate", "Measure a model on held-out or any other text.") { path, text, tasks, json }.Does(parsed =>
        {
            TorchRuntime.Initialize();
            var result = new CheckpointEvaluation(context.Components).Run(new CheckpointEvaluationOptions
            {
                Path = parsed.GetRequiredValue(path),
                Text = parsed.GetValue(text),
                Tasks = parsed.GetRequiredValue(tasks).Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries),
            }, context.Error.WriteLine);
            if (parsed.GetValue(json))
                context.Out.WriteJson(result.ToJson());
            else
            {
                var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(context.Out) });
                console.Write(EvaluationView.Render(result, console.Profile.Capabilities.Unicode));
            }
            return ExitCode.Done;
        });
    }
}
