using System.CommandLine;
using System.Text.Json.Nodes;
using Perennial.Cli.Hosting;
using Perennial.Core;
using Perennial.Data;
using Perennial.Data.Preparation;
using Perennial.Data.Sources;
using Perennial.Data.Yardsticks;
using Perennial.Tensors;
using Perennial.Training.Checkpoints;
using Perennial.Training.HeldOut;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Cli.Commands;

/// <summary><c>perennial evaluate</c>.</summary>
internal static class EvaluateCommand
{
    private const double Overlap = 0.5;

    public static Command Create(CommandContext context)
    {
        var path = new Argument<string>("DIR") { Description = "A run folder (its newest whole checkpoint), a checkpoint, or a Hugging Face folder." };
        var text = new Option<string?>("--text") { Description = "A text file (.txt, .jsonl, .parquet, also .gz or .zst) to measure on; by default the run's own held-out text." };
        var tasks = new Option<string>("--tasks") { Description = "What to measure, separated by commas.", DefaultValueFactory = _ => "bits-per-byte" };
        var json = CommandExtensions.Json();
        return new Command("evaluate", "Measure a model on held-out or any other text.") { path, text, tasks, json }.Does(parsed =>
        {
            TorchRuntime.Initialize();
            var chosen = Tasks(context, parsed.GetRequiredValue(tasks));
            using var model = CheckpointModel.Open(parsed.GetRequiredValue(path), context.Error.WriteLine);
            var (measured, bytes) = parsed.GetValue(text) is { } file ? FromFile(file, model.Tokenizer, context.Cancellation) : FromRun(context, parsed.GetRequiredValue(path), model.Tokenizer);
            if (measured.Tokens == 0) throw PerennialException.Usage($"{measured.Name}: holds no text");
            var scored = new EvaluationContext(model.Model, measured, new TextScorer(Overlap));
            var metrics = chosen.SelectMany(task => task.Measure(scored)).GroupBy(metric => metric.Key).ToDictionary(group => group.Key, group => group.First().Value);
            var yardsticks = CompressionYardsticks.Measure(bytes);
            if (parsed.GetValue(json))
            {
                var line = new JsonObject { ["event"] = "evaluation", ["checkpoint"] = model.Folder, ["text"] = measured.Name, ["bytes"] = measured.Bytes, ["tokens"] = measured.Tokens };
                foreach (var (name, value) in metrics) line[name] = CommandExtensions.Number(value);
                line["yardsticks"] = Yardstick.ToJson(yardsticks);
                context.Out.WriteJson(line);
                return ExitCode.Done;
            }
            context.Out.WriteLine($"{measured.Name}: {measured.Bytes:N0} bytes, {measured.Tokens:N0} tokens, under {model.Folder}");
            foreach (var (name, value) in metrics) context.Out.WriteLine($"  {name,-20} {value:F4}");
            foreach (var one in yardsticks) context.Out.WriteLine($"  {one.Name,-20} {(one.BitsPerByte is { } bits ? $"{bits:F4} bits per byte" : $"not measured: {one.Missing}")}");
            return ExitCode.Done;
        });
    }

    private static List<IEvaluationTask> Tasks(CommandContext context, string names)
    {
        var known = context.Components.Kinds(typeof(IEvaluationTask));
        return [.. names.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(name =>
            (context.Components.Find(typeof(IEvaluationTask), name) is { } found ? (IEvaluationTask?)Activator.CreateInstance(found.Implementation) : null)
            ?? throw PerennialException.Usage($"--tasks: unknown task '{name}'{Core.Recipes.Nearest.Hint(name, known)}"))];
    }

    private static (EvaluationText Text, byte[] Bytes) FromFile(string file, ITokenizer tokenizer, CancellationToken cancellation)
    {
        if (!File.Exists(file)) throw PerennialException.Usage($"--text {file}: no such file");
        var whole = new SourceOptions { Path = file, Split = TextSplit.File };
        var documents = SourceFiles.FormatOf(file) is null
            ? [PlainText(file)]
            : DocumentSource.Read(whole, cancellation).ToBlockingEnumerable(cancellation).Select(document => document.Text).ToList();
        return (EvaluationText.Of(file, documents, tokenizer), [.. documents.SelectMany(document => document.ToArray())]);
    }

    // Any file may be measured whatever its ending, as long as it is UTF-8.
    private static ReadOnlyMemory<byte> PlainText(string file)
    {
        var bytes = File.ReadAllBytes(file);
        Utf8Check.Require(bytes, file, 0);
        return bytes;
    }

    private static (EvaluationText Text, byte[] Bytes) FromRun(CommandContext context, string path, ITokenizer tokenizer)
    {
        var recipe = new RunFolder(path).StoredRecipe(new RecipeLoader(context.Components))
            ?? throw PerennialException.Usage($"{path}: is not a run folder, so it has no held-out text of its own; give --text FILE");
        using var data = DataPreparation.Prepare(recipe.Data, recipe.Seed, context.Error.WriteLine, context.Cancellation);
        return (HeldOutDocuments.Of(data) ?? throw PerennialException.Usage($"{path}: the recipe holds no text out; give --text FILE"), data.HeldOutText());
    }
}
