using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Tokenizers;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;
using Perennial.Training.HeldOut;

namespace Perennial.Experiments.Stages;

/// <summary>In which order the new language's texts are read.</summary>
public enum LanguageOrder
{
    /// <summary>At random.</summary>
    Random,

    /// <summary>From low to high perplexity under the base model.</summary>
    EasyFirst,

    /// <summary>From high to low.</summary>
    HardFirst,
}

/// <summary>Options of <see cref="LanguageAddition"/>.</summary>
public sealed record LanguageAdditionOptions
{
    /// <summary>Share of the new language.</summary>
    [Range(0.01, 1.0)]
    public double New { get; init; } = 0.2;

    /// <summary>Share of questions with answers, taken from the old language's.</summary>
    [Range(0.0, 0.9)]
    public double Questions { get; init; }

    /// <summary>Share of these whose answer is wrong.</summary>
    [Range(0.0, 1.0)]
    public double Wrong { get; init; }

    /// <summary>Order of the new language's texts.</summary>
    public LanguageOrder Order { get; init; } = LanguageOrder.Random;

    /// <summary>Gain a of the topics' feedback mixture; 0 for equal shares.</summary>
    [Range(-10.0, 10.0)]
    public double Gain { get; init; }

    /// <summary>Steps of the base model.</summary>
    [Range(1, 10_000_000)]
    public int BaseSteps { get; init; } = 1500;

    /// <summary>Peak rate of the base model; the recipe's is that of the stage.</summary>
    [Range(0.0, 100.0, MinimumIsExclusive = true)]
    public double BaseRate { get; init; } = 4e-3;

    /// <summary>Documents of each topic of the new language.</summary>
    [Range(10, 100_000_000)]
    public int Documents { get; init; } = 3000;
}

/// <summary>
/// Adds a language to a finished model (Llama-3-SynE, Chen et al. 2024, arXiv 2407.18743): shares of languages and of synthetic questions, topics by perplexity feedback, order by the base model's perplexity.
/// </summary>
/// <remarks>
/// Measures, losses in nats a token of fixed texts that training does not have: <c>new-loss</c>, <c>worst-topic</c> (the new language's worst topic), <c>worst-perplexity</c> and <c>mean-perplexity</c> (over topics),
/// <c>old-loss</c>, <c>forgetting</c> (its rise over the base model's), <c>questions</c> (percent right, of facts that training asks and others alike), <c>asked</c> and <c>unasked</c> (of either), and
/// <c>share-motion</c> (largest change of a topic's share within the last third, relative; 0 without feedback).
/// </remarks>
[Component("language-addition")]
public sealed class LanguageAddition(LanguageAdditionOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var recipe = context.Recipe ?? throw PerennialException.Usage("experiment 'language-addition' needs a recipe");
        var shared = SharedWork.Folder(context, $"{context.Seed}-{options.BaseSteps}-{options.BaseRate}-{options.Documents}", folder => Prepare(context with { Folder = folder }, recipe));
        var world = new TopicWorld(context.Seed);
        var old = 1 - options.New - options.Questions;
        if (old < -1e-9) throw PerennialException.Usage($"experiment.new and experiment.questions: {options.New} and {options.Questions} are more than all");
        string Share(double share) => share.ToString("R", CultureInfo.InvariantCulture);
        List<string> sources = [.. Enumerable.Range(0, TopicWorld.Topics).Select(topic => $"{{ path: {Path.Combine(shared, $"topic-{topic}.jsonl")}, weight: {Share(options.New / TopicWorld.Topics)} }}")];
        if (old > 1e-9) sources.Add($"{{ path: {Path.Combine(shared, "old.jsonl")}, weight: {Share(old)} }}");
        if (options.Questions > 0)
        {
            var file = Path.Combine(context.Folder, "questions.jsonl");
            AtomicFile.WriteText(file, string.Concat(Enumerable.Range(0, 4000).Select(i => JsonSerializer.Serialize(new { text = world.Asked(i, options.Wrong).Document, perplexity = WorldDrawsOrder(context.Seed, i) }) + "\n")));
            sources.Add($"{{ path: {file}, weight: {Share(options.Questions)} }}");
        }
        var run = ProbedRun.Train(context, recipe.With("model", $"{{ kind: checkpoint, path: {File.ReadAllText(Path.Combine(shared, "base.txt"))} }}").With("data.tokenizer", $"{{ kind: file, path: {Path.Combine(shared, "tokenizer")} }}")
            .With("data.sources", $"[{string.Join(", ", sources)}]")
            .With("data.mixture", options.Gain == 0 ? "weighted" : $"{{ kind: perplexity-feedback, topics: {TopicWorld.Topics}, gain: {Share(options.Gain)}, every: 5%, log: true, smoothing: 0.5 }}")
            .With("data.order", options.Order switch { LanguageOrder.Random => "shuffled", LanguageOrder.EasyFirst => "{ kind: curriculum, by: perplexity, direction: ascending }", _ => "{ kind: curriculum, by: perplexity, direction: descending }" })
            .With("evaluation.tasks", $"[bits-per-byte, {{ kind: exercises, path: {Path.Combine(shared, "exercises.jsonl")} }}]"), Path.Combine(context.Folder, "run"));
        double[] topics = [.. Enumerable.Range(0, TopicWorld.Topics).Select(topic => run.Last($"exercise_loss.topic-{topic}"))];
        double asked = 100 * run.Last("exercise_accuracy.asked"), unasked = 100 * run.Last("exercise_accuracy.unasked");
        return new ExperimentOutcome
        {
            Measures = new Dictionary<string, double>
            {
                ["new-loss"] = topics.Average(), ["worst-topic"] = topics.Max(), ["worst-perplexity"] = Math.Exp(topics.Max()), ["mean-perplexity"] = topics.Average(Math.Exp), ["old-loss"] = run.Last("exercise_loss.old"),
                ["forgetting"] = run.Last("exercise_loss.old") - run.Curve("exercise_loss.old")[0].Value, ["questions"] = (asked + unasked) / 2, ["asked"] = asked, ["unasked"] = unasked, ["share-motion"] = run.ShareMotion(TopicWorld.Topics),
            },
            Curves =
            [
                new("Loss on the old language", "steps", "nats a token", [.. run.Curve("exercise_loss.old").Select(point => new CurvePoint(point.Step, point.Value))]),
                new("Loss on the new language's hardest topic", "steps", "nats a token", [.. run.Curve($"exercise_loss.topic-{TopicWorld.Topics - 1}").Select(point => new CurvePoint(point.Step, point.Value))]),
            ],
            Parameters = run.Parameters, Tokens = run.Tokens, Flops = run.Flops,
        };
    }

    private static double WorldDrawsOrder(ulong seed, int document) => new WorldDraws(seed, 310, (ulong)document).Uniform();

    /// <summary>Texts, tokenizer, base model of the old language, and the base model's word on every text of the new one.</summary>
    private void Prepare(ExperimentContext context, RecipeNode recipe)
    {
        var (stages, world) = (new StageTraining(context), new TopicWorld(context.Seed));
        // The old language stays shuffled under any order: its score is a draw.
        AtomicFile.WriteText(stages.FolderOf("old.jsonl"), string.Concat(Enumerable.Range(0, 30_000).Select(i => JsonSerializer.Serialize(new { text = world.Old(2, i), perplexity = WorldDrawsOrder(context.Seed + 1, i) }) + "\n")));
        var texts = Enumerable.Range(0, TopicWorld.Topics).Select(topic => Enumerable.Range(0, options.Documents).Select(i => world.New(3, i, topic)).ToList()).ToList();
        var questions = Enumerable.Range(0, 400).Select(i => world.Asked(i, 0).Document);
        var tokenizer = stages.Tokenizer(recipe, stages.FolderOf("old.jsonl"), stages.Write("sample", texts.SelectMany(topic => topic.Take(400)).Concat(questions)));
        var words = TokenizerJson.Load(tokenizer);
        var folder = stages.Train("old", recipe.With("data.tokenizer", $"{{ kind: file, path: {tokenizer} }}").With("data.sources", $"[{{ path: {stages.FolderOf("old.jsonl")} }}]").With("evaluation.probes", "[]")
            .With("training.steps", $"{options.BaseSteps}").With("optimizer.rate", options.BaseRate.ToString("R", CultureInfo.InvariantCulture)));
        using (var model = StageTraining.Load(folder))
        {
            foreach (var (topic, number) in texts.Select((topic, number) => (topic, number)))
            {
                context.Cancellation.ThrowIfCancellationRequested();
                var scores = new TextScorer().Score(model, EvaluationText.Of("new", topic.Select(text => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(text)), words));
                // In the order of the score, so that a window holds texts of like difficulty.
                var scored = topic.Select((text, i) => (Text: text, Perplexity: Math.Exp(scores.Nats[i].Average(nats => (double)nats)))).OrderBy(one => one.Perplexity);
                AtomicFile.WriteText(stages.FolderOf($"topic-{number}.jsonl"), string.Concat(scored.Select(one => JsonSerializer.Serialize(new { text = one.Text, perplexity = one.Perplexity }) + "\n")));
            }
        }
        IEnumerable<object> exercises =
        [
            .. Enumerable.Range(0, TopicWorld.Topics).SelectMany(topic => Enumerable.Range(0, 40).Select(i => (object)new { group = $"topic-{topic}", prompt = "", answer = world.New(4, i, topic) })),
            .. Enumerable.Range(0, 150).Select(i => new { group = "old", prompt = "", answer = world.Old(5, i) }),
            .. new[] { true, false }.SelectMany(asked => world.Questions(asked).Select(one => new { group = asked ? "asked" : "unasked", prompt = one.Prompt + Exercise.Separator, answer = " " + one.Answer })),
        ];
        AtomicFile.WriteText(stages.FolderOf("exercises.jsonl"), string.Concat(exercises.Select(one => JsonSerializer.Serialize(one) + "\n")));
        AtomicFile.WriteText(stages.FolderOf("base.txt"), folder);
    }
}
