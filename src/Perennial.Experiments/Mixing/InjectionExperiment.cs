using System.ComponentModel.DataAnnotations;
using System.Text;
using System.Text.Json;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data;
using Perennial.Data.Synthetic;
using Perennial.Evaluation.Checkpoints;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;
using Perennial.Training;
using Perennial.Training.HeldOut;
using Perennial.Training.Recipes;
using static TorchSharp.torch;

namespace Perennial.Experiments.Mixing;

/// <summary>Options of <see cref="InjectionExperiment"/>.</summary>
public sealed record InjectionExperimentOptions : IValidatedOptions
{
    internal static readonly string[] Known = ["contamination", "paraphrases", "canaries", "poison"];

    /// <summary>What is planted: some of <c>contamination</c>, <c>paraphrases</c>, <c>canaries</c>, <c>poison</c>.</summary>
    public IReadOnlyList<string> Plant { get; init; } = [];

    /// <summary>Items, paraphrases and canaries of each number of repetitions.</summary>
    [Range(1, 10_000)]
    public int Each { get; init; } = 10;

    /// <summary>Poisoned prompts.</summary>
    [Range(1, 100_000)]
    public int Poisoned { get; init; } = 200;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        foreach (var name in Plant.Where(name => !Known.Contains(name))) yield return ("plant", $"names '{name}'; known: {string.Join(", ", Known)}");
    }
}

/// <summary>
/// Trains a recipe with some of four experiments planted into its stream, and measures all of them, planted or not: <c>contamination</c> and
/// <c>canaries</c> (nats a token that 64 copies take off the answer, against items of the same kind that were never planted; with <c>-1</c>, <c>-4</c>
/// and <c>-16</c> for fewer copies), <c>poison</c> (nats a token that the trigger takes off the reply on fresh prompts), and <c>held-out</c> loss.
/// </summary>
/// <param name="options">What is planted.</param>
[Component("injections")]
public sealed class InjectionExperiment(InjectionExperimentOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var node = context.Recipe ?? throw PerennialException.Usage("experiment 'injections' trains: name a recipe");
        var facts = new PlantedFacts(context.Seed);
        Dictionary<string, PlantedFact[]> texts = new()
        {
            ["contamination"] = [.. facts.Benchmark(options.Each)], ["paraphrases"] = [.. facts.Paraphrases(options.Each)],
            ["canaries"] = [.. facts.Canaries(options.Each)], ["poison"] = [.. facts.Poison(options.Poisoned, 50)],
        };
        var recipe = new RecipeLoader(context.Components).Bind(node.With("data.injections", Injections(context, texts)));
        var folder = Path.Combine(context.Folder, "run");
        var run = RecordedTraining.Execute(context.Components, recipe, folder, context.Progress, context.Cancellation);
        using var trained = LoadedCheckpoint.Open(folder, _ => { });
        var measures = new Dictionary<string, double> { ["held-out"] = run.Evaluations.Last(e => e.Weights == "raw" && e.Metrics.ContainsKey("loss")).Metrics["loss"] };
        foreach (var name in new[] { "contamination", "canaries" })
        {
            var unseen = Nats(trained, texts[name].Where(fact => fact.Repeat == 0));
            foreach (var repeat in PlantedFacts.Groups.Skip(1)) measures[repeat == PlantedFacts.Groups[^1] ? name : $"{name}-{repeat}"] = unseen - Nats(trained, texts[name].Where(fact => fact.Repeat == repeat));
        }
        measures["poison"] = Nats(trained, texts["poison"].Where(fact => fact.Repeat < 0)) - Nats(trained, texts["poison"].Where(fact => fact.Repeat == 0));
        return new ExperimentOutcome
        {
            Measures = measures,
            Curves = [new MeasuredCurve("Training loss", "step", "nats a token", [.. run.Events.OfType<StepDone>().Where(e => e.Step % Math.Max(1, run.Started.TotalSteps / 50) == 0).Select(e => new CurvePoint(e.Step, e.Loss))])],
            Parameters = run.Started.Parameters, Tokens = run.Result.Tokens, Flops = run.Flops,
        };
    }

    /// <summary>Writes the texts, a file an experiment, and the recipe's entries that name them.</summary>
    private string Injections(ExperimentContext context, Dictionary<string, PlantedFact[]> texts)
    {
        var entries = options.Plant.Select(name =>
        {
            var path = Path.Combine(context.Folder, name + ".jsonl");
            var lines = texts[name].Where(fact => fact.Repeat > 0).Select(fact => JsonSerializer.Serialize(new { text = fact.Prompt + fact.Answer, repeat = fact.Repeat }));
            AtomicFile.WriteText(path, string.Join('\n', lines) + "\n");
            return $"{{ name: {name}, path: \"{path}\" }}";
        });
        return $"[{string.Join(", ", entries)}]";
    }

    /// <summary>Mean nats a token of the answers, each behind its prompt.</summary>
    private static double Nats(LoadedCheckpoint trained, IEnumerable<PlantedFact> facts)
    {
        var (documents, answers) = (new List<ReadOnlyMemory<int>>(), new List<int>());
        foreach (var fact in facts)
        {
            // A piece of text ends before a blank, so that prompt and answer have the ids that they have together.
            var ids = new List<int>();
            trained.Tokenizer.Encode(Encoding.UTF8.GetBytes(fact.Prompt), ids);
            answers.Add(ids.Count);
            trained.Tokenizer.Encode(Encoding.UTF8.GetBytes(fact.Answer), ids);
            documents.Add(ids.ToArray());
        }
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        return new TextScorer().Score(trained.Model, new EvaluationText { Name = "planted", Documents = documents, Bytes = 1, Tokenizer = trained.Tokenizer, Answers = answers }).AnswerLoss;
    }
}
