using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Preparation;
using Perennial.Data.Yardsticks;
using Perennial.Training.HeldOut;
using Perennial.Training.Recipes;

namespace Perennial.Evaluation.Checkpoints;

/// <summary>What is asked of <c>perennial evaluate</c>.</summary>
public sealed record CheckpointEvaluationOptions
{
    /// <summary>A run folder or a checkpoint folder.</summary>
    public required string Path { get; init; }

    /// <summary>A UTF-8 file to evaluate on (.gz and .zst are unpacked); null takes the held-out text of the run's recipe.</summary>
    public string? Text { get; init; }

    /// <summary>Task kinds; <c>bits-per-byte</c> and <c>perplexity</c> when empty.</summary>
    public IReadOnlyList<string> Tasks { get; init; } = [];

    /// <summary>
    /// Share of the context that every further window carries as mere context: half by default, so that every token but a document's
    /// first ones is predicted from at least half a context. The stride is the rest. Training evaluates with 0, which is faster.
    /// </summary>
    public double Overlap { get; init; } = 0.5;
}

/// <summary>Evaluates a checkpoint on a text, beside the compressors.</summary>
/// <param name="components">Components that tasks and recipes may name.</param>
public sealed class CheckpointEvaluation(ComponentRegistry components)
{
    private const string RecipeFile = "recipe.yaml";
    private static readonly string[] DefaultTasks = ["bits-per-byte", "perplexity"];

    /// <summary>Evaluates.</summary>
    /// <param name="options">What is asked.</param>
    /// <param name="notify">Told lines for people.</param>
    /// <exception cref="PerennialException">Exit 2: unknown task, no text. Exit 3: damaged checkpoint or text.</exception>
    public EvaluationResult Run(CheckpointEvaluationOptions options, Action<string> notify)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Overlap is not (>= 0 and < 1)) throw PerennialException.Usage($"--overlap {options.Overlap}: must be from 0 to below 1");
        var tasks = (options.Tasks.Count == 0 ? DefaultTasks : options.Tasks).Distinct().Select(kind => (kind, Task: Bind(kind))).ToList();
        using var checkpoint = LoadedCheckpoint.Open(options.Path, notify);
        var (text, bytes) = options.Text is { } file ? FromFile(file, checkpoint) : FromRun(checkpoint);
        var context = new EvaluationContext(checkpoint.Model, text, new TextScorer(options.Overlap));
        var metrics = new SortedDictionary<string, double>(StringComparer.Ordinal) { ["bits_per_byte"] = context.Scores.BitsPerByte, ["loss"] = context.Scores.Loss };
        foreach (var (_, task) in tasks)
            foreach (var (name, value) in task.Measure(context))
                metrics[name] = value;
        return new EvaluationResult(checkpoint.Folder, text.Name, text.Bytes, text.Tokens, metrics, CompressionYardsticks.Measure(bytes));
    }

    private IEvaluationTask Bind(string kind) =>
        new RecipeBinder(components).Bind<ComponentSpec<IEvaluationTask>>(RecipeDocument.Parse(kind, "--tasks")).Create();

    private static (EvaluationText Text, ReadOnlyMemory<byte> Bytes) FromFile(string path, LoadedCheckpoint checkpoint)
    {
        var bytes = TextFile.Read(path);
        return (EvaluationText.Of(Path.GetFileName(path), [bytes], checkpoint.Tokenizer), bytes);
    }

    private (EvaluationText Text, ReadOnlyMemory<byte> Bytes) FromRun(LoadedCheckpoint checkpoint)
    {
        var recipe = checkpoint.RunFolder is { } run && File.Exists(Path.Combine(run, RecipeFile))
            ? new RecipeLoader(components).Load(Path.Combine(run, RecipeFile))
            : throw PerennialException.Usage($"{checkpoint.Folder}: belongs to no run, so there is no held-out text; give a text with --text FILE");
        using var data = DataPreparation.Prepare(recipe.Data, recipe.Seed);
        if (data.Tokenizer.Fingerprint != checkpoint.Tokenizer.Fingerprint)
            throw PerennialException.Damaged($"{checkpoint.Folder}: its tokenizer is not the one that the run's recipe makes; give a text with --text FILE");
        var text = EvaluationText.HeldOut(data, recipe.Data);
        return text.Tokens > 0 ? (text, data.HeldOutText()) : throw PerennialException.Usage($"{checkpoint.RunFolder}: its recipe holds no text out; give a text with --text FILE");
    }
}
