using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Mixtures;
using Perennial.Data.Synthetic;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;
using Perennial.Training;
using Perennial.Training.Checkpoints;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Experiments.Mixing;

/// <summary>Options of <see cref="LegoExperiment"/>.</summary>
public sealed record LegoExperimentOptions
{
    /// <summary>Variables of a chain: as many skills, by the depth of the asked variable.</summary>
    [Range(2, 13)]
    public int Variables { get; init; } = 4;

    /// <summary>Letters that name variables.</summary>
    [Range(2, 26)]
    public int Letters { get; init; } = 8;

    /// <summary>Training samples of each skill.</summary>
    [Range(10, 10_000_000)]
    public int Samples { get; init; } = 20_000;

    /// <summary>Weight of each skill's source, shallow first; equal ones when left out.</summary>
    public IReadOnlyList<double> Weights { get; init; } = [];
}

/// <summary>
/// Trains a recipe on LEGO, one source a skill, and measures exact answers on held-out samples: <c>final</c> and <c>half</c> (mean accuracy over
/// skills, in percent, at the end and half way), <c>area</c> (its mean over all evaluations), <c>deepest</c> (that of the deepest skill at the end),
/// <c>density</c> (of a learned graph; 0 without one) and <c>graph-share</c> (tokens that learning it took, over the run's).
/// </summary>
/// <param name="options">The task.</param>
[Component("lego")]
public sealed class LegoExperiment(LegoExperimentOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (options.Weights.Count > 0 && options.Weights.Count != options.Variables) throw PerennialException.Usage($"experiment.weights: {options.Weights.Count} weights for {options.Variables} skills");
        var node = context.Recipe ?? throw PerennialException.Usage("experiment 'lego' trains: name a recipe");
        var recipe = new RecipeLoader(context.Components).Bind(node.With("data.sources", Sources(context)).With("data.cache", Path.Combine(context.Folder, "cache")).With("data.answers", $"\"{LegoText.Marker}\""));
        var folder = Path.Combine(context.Folder, "run");
        var run = RecordedTraining.Execute(context.Components, recipe, folder, context.Progress, context.Cancellation);
        var curve = run.Evaluations.Where(e => e is { Task: "answers", Weights: "raw" }).Select(e => new { e.Step, Mean = 100 * e.Metrics["answer_accuracy"], Deepest = 100 * Deepest(e) }).ToList();
        var learned = run.Events.OfType<GraphLearned>().LastOrDefault()?.Steps / (double)run.Started.TotalSteps ?? 0;
        var graph = CheckpointFiles.ReadProgress(new RunFolder(folder).Checkpoints.Newest(_ => { })!.Folder).Mixture?.State?["graph"] as JsonArray;
        return new ExperimentOutcome
        {
            Measures = new Dictionary<string, double>
            {
                ["final"] = curve[^1].Mean,
                ["half"] = curve.Last(point => point.Step * 2 <= run.Result.Step).Mean,
                ["area"] = curve.Average(point => point.Mean),
                ["deepest"] = curve[^1].Deepest,
                ["density"] = graph is null ? 0 : SkillGraph.Density([.. graph.Select(row => row!.AsArray().Select(entry => (double)entry!).ToArray())]),
                ["graph-share"] = learned,
            },
            Curves = [new MeasuredCurve("Exact answers, mean over skills", "step", "%", [.. curve.Select(point => new CurvePoint(point.Step, point.Mean))])],
            Parameters = run.Started.Parameters,
            Tokens = run.Result.Tokens,
            Flops = run.Flops * (1 + learned),
        };
    }

    /// <summary>Writes the samples, a file a skill (anew after a stop: the same bytes), and the sources that name them.</summary>
    private string Sources(ExperimentContext context)
    {
        var task = new LegoText(options.Variables, options.Letters);
        var sources = Enumerable.Range(1, options.Variables).Select(depth =>
        {
            var path = Path.Combine(context.Folder, $"lego-{depth}.jsonl");
            var lines = task.Samples(context.Seed, depth, options.Samples).Select(sample => JsonSerializer.Serialize(new { text = sample }));
            AtomicFile.WriteText(path, string.Join('\n', lines) + "\n");
            var weight = options.Weights.Count == 0 ? 1 : options.Weights[depth - 1];
            return $"{{ path: \"{path}\", weight: {weight.ToString("R", CultureInfo.InvariantCulture)} }}";
        });
        return $"[{string.Join(", ", sources)}]";
    }

    private static double Deepest(EvaluationDone evaluation) => evaluation.Metrics.Where(pair => pair.Key.StartsWith("answer_accuracy.", StringComparison.Ordinal))
        .MaxBy(pair => int.Parse(pair.Key.AsSpan(pair.Key.IndexOf('.', StringComparison.Ordinal) + 1), CultureInfo.InvariantCulture)).Value;
}
