using System.CommandLine;
using Perennial.Cli.Evaluate;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Evaluation.Checkpoints;
using Perennial.Evaluation.Continual;
using Perennial.Evaluation.Dynamics;
using Perennial.Evaluation.Events;
using Perennial.Tensors;
using Spectre.Console;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial evaluate</c>.</summary>
internal static class EvaluateCommand
{
    public static Command Create(CommandContext context)
    {
        var path = new Argument<string[]>("DIR") { Description = "A run folder (its newest whole checkpoint), a checkpoint, or a Hugging Face folder; with --every-checkpoint one run folder or several.", Arity = ArgumentArity.OneOrMore };
        var text = new Option<string?>("--text") { Description = "A UTF-8 text file (also .gz or .zst) to measure on; by default the run's own held-out text." };
        var tasks = new Option<string>("--tasks") { Description = "What to measure, separated by commas; a task with options as in a recipe, { kind: exercises, path: FILE }.", DefaultValueFactory = _ => "bits-per-byte" };
        var stages = new Option<bool>("--stages") { Description = "Of a run of stages: the forgetting matrix, transfers and stability gaps, as they were measured while it trained." };
        var weights = new Option<string>("--weights") { Description = "With --stages: which weights, such as raw or ema.", DefaultValueFactory = _ => "raw" };
        var every = new Option<bool>("--every-checkpoint") { Description = "Measure every checkpoint of one run or several: curves, how alike they are across model sizes, and (from three sizes on) the largest run's curve foretold from the smaller ones." };
        var json = CommandExtensions.Json();
        return new Command("evaluate", "Measure a model on held-out or any other text.") { path, text, tasks, stages, weights, every, json }.Does(parsed =>
        {
            var given = parsed.GetRequiredValue(path);
            var kinds = Kinds(parsed.GetRequiredValue(tasks));
            if (parsed.GetValue(every)) return EveryCheckpoint(context, given, kinds, parsed.GetValue(json));
            if (given.Length > 1) throw PerennialException.Usage($"evaluate: {given.Length} folders were given; several make sense with --every-checkpoint only");
            if (parsed.GetValue(stages)) return Stages(context, given[0], parsed.GetRequiredValue(weights), parsed.GetValue(json));
            TorchRuntime.Initialize();
            var result = new CheckpointEvaluation(context.Components).Run(new CheckpointEvaluationOptions
            {
                Path = given[0],
                Text = parsed.GetValue(text),
                Tasks = kinds,
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

    private static ExitCode Stages(CommandContext context, string run, string weights, bool json)
    {
        if (!Directory.Exists(run)) throw PerennialException.Usage($"{run}: no such folder; give the folder of a run of stages");
        var measured = RunHistory.Load(run).StageTexts;
        if (measured.Count == 0) throw PerennialException.Usage($"{run}: is no run of stages (its metrics.jsonl tells of none); write stages: into the recipe");
        if (measured.All(e => e.Weights != weights)) throw PerennialException.Usage($"--weights {weights}: were not measured; known: {string.Join(", ", measured.Select(e => e.Weights).Distinct())}");
        var matrix = ForgettingMatrix.Of(measured, weights) ?? throw PerennialException.Usage($"{run}: no stage is finished yet");
        if (json)
            context.Out.WriteJson(matrix.ToJson());
        else
        {
            var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(context.Out) });
            console.Write(ForgettingView.Render(matrix, console.Profile.Capabilities.Unicode));
        }
        return ExitCode.Done;
    }

    private static ExitCode EveryCheckpoint(CommandContext context, IReadOnlyList<string> runs, IReadOnlyList<string> kinds, bool json)
    {
        TorchRuntime.Initialize();
        var dynamics = new CheckpointDynamics(context.Components);
        var curves = runs.Select(run => dynamics.Measure(run, kinds, context.Error.WriteLine, context.Cancellation)).ToList();
        var similar = CurveSimilarity.Of(curves);
        var forecasts = curves.Select(curve => curve.Parameters).Distinct().Count() >= 3 ? CurveForecast.OfLargest(curves) : [];
        if (json)
            foreach (var line in DynamicsView.ToJson(curves, similar, forecasts)) context.Out.WriteJson(line);
        else
        {
            var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(context.Out) });
            console.Write(DynamicsView.Render(curves, similar, forecasts, console.Profile.Capabilities.Unicode));
        }
        return ExitCode.Done;
    }

    /// <summary>Parts between commas that stand outside of braces, brackets and quotes.</summary>
    private static List<string> Kinds(string text)
    {
        var (kinds, start, depth, quote) = (new List<string>(), 0, 0, '\0');
        for (var i = 0; i <= text.Length; i++)
        {
            if (i == text.Length || (text[i] == ',' && depth == 0 && quote == '\0'))
            {
                if (text[start..i].Trim() is { Length: > 0 } kind) kinds.Add(kind);
                start = i + 1;
            }
            else if (quote != '\0') quote = text[i] == quote ? '\0' : quote;
            else if (text[i] is '"' or '\'') quote = text[i];
            else depth += text[i] is '{' or '[' ? 1 : text[i] is '}' or ']' ? -1 : 0;
        }
        return kinds;
    }
}
