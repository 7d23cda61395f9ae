using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Filters;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Stages;

/// <summary>What of the domain's pool is read.</summary>
public enum DomainSelection
{
    /// <summary>All of it, once.</summary>
    All,

    /// <summary>A random part, for several epochs.</summary>
    Random,

    /// <summary>The part of lowest perplexity under an n-gram model of the reference, for several epochs.</summary>
    Best,
}

/// <summary>What stands beside the domain's text.</summary>
public enum DomainMixture
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>The general sources in the shares of pre-training, a tenth of all.</summary>
    Replay,

    /// <summary>The general sources in the shares of pre-training, the domain in the place of the web; the same part of the domain every epoch.</summary>
    Fixed,

    /// <summary>The same, the domain's part drawn anew from the best of the pool every epoch.</summary>
    Dynamic,
}

/// <summary>Options of <see cref="DomainAdaptation"/>.</summary>
public sealed record DomainAdaptationOptions
{
    /// <summary>What of the pool is read.</summary>
    public DomainSelection Select { get; init; } = DomainSelection.All;

    /// <summary>What stands beside it.</summary>
    public DomainMixture Mixture { get; init; } = DomainMixture.None;

    /// <summary>Steps of pre-training on the general sources.</summary>
    [Range(1, 10_000_000)]
    public int BaseSteps { get; init; } = 1500;

    /// <summary>A selected part is one of so many of the pool.</summary>
    [Range(1, 1000)]
    public int Parts { get; init; } = 4;

    /// <summary>Documents of the pool: about as many as the whole budget reads once.</summary>
    [Range(30, 100_000_000)]
    public int Pool { get; init; } = 9_000;

    /// <summary>People of the world and of the domain, each.</summary>
    [Range(4, 128)]
    public int People { get; init; } = 40;

    /// <summary>Peak rate of pre-training; the recipe's is that of the adaptation.</summary>
    [Range(0.0, 100.0, MinimumIsExclusive = true)]
    public double BaseRate { get; init; } = 4e-3;
}

/// <summary>
/// Adapts a general model to a domain (Guo et al. 2024, arXiv 2406.14833): all of a pool once, or a part of it for several epochs, random or of the lowest n-gram perplexity, alone or in the mixture of
/// pre-training. Probes see the stability gap.
/// </summary>
/// <remarks>
/// Measures, accuracies in percent: <c>skill-start</c>, <c>depth</c> (start minus lowest accuracy on questions about the world), <c>area</c> (points × steps below the start), <c>skill-end</c>, <c>task-peak</c>, <c>task-error</c> (100 minus it) and <c>task-end</c>
/// (questions about the domain, which need its facts and the form of the questions), <c>peak-step</c>, <c>told-end</c> (facts of the domain as its text has them), <c>kept-end</c> (facts of the world
/// likewise, without the form of questions), <c>domain-loss-start</c> and <c>domain-loss</c> (nats a token of clean text), <c>domain-rises</c> (probes at which it rose by more than 0.02), <c>clean</c> (share of clean documents read, 0 to 1), and where
/// the practice <c>update-ledger</c> is named <c>early-ratio</c> and <c>late-ratio</c> (relative way of the bottom blocks over the top ones').
/// </remarks>
[Component("domain-adaptation")]
public sealed class DomainAdaptation(DomainAdaptationOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var recipe = context.Recipe ?? throw PerennialException.Usage("experiment 'domain-adaptation' needs a recipe");
        var key = $"{context.Seed}-{options.BaseSteps}-{options.Pool}-{options.People}-{options.BaseRate}";
        var shared = SharedWork.Folder(context, key, folder => Prepare(context with { Folder = folder }, recipe));
        var tokenizer = Path.Combine(shared, "tokenizer");
        var (sources, order, clean) = Sources(shared, context);
        var run = ProbedRun.Train(context, recipe.With("model", $"{{ kind: checkpoint, path: {File.ReadAllText(Path.Combine(shared, "base.txt"))} }}").With("data.tokenizer", $"{{ kind: file, path: {tokenizer} }}")
            .With("data.sources", sources).With("data.order", order).With("evaluation.tasks", $"[bits-per-byte, {{ kind: exercises, path: {Path.Combine(shared, "exercises.jsonl")} }}]"), Path.Combine(context.Folder, "run"));

        var (skill, task, loss) = (Percent(run, "skill"), Percent(run, "domain"), run.Curve("exercise_loss.text"));
        var start = skill[0].Value;
        var area = skill.Zip(skill.Skip(1), (from, to) => (to.Step - from.Step) * (Math.Max(0, start - from.Value) + Math.Max(0, start - to.Value)) / 2).Sum();
        var peak = task.MaxBy(point => point.Value);
        var measures = new Dictionary<string, double>
        {
            ["skill-start"] = start, ["depth"] = start - skill.Min(point => point.Value), ["area"] = area, ["skill-end"] = skill[^1].Value,
            ["task-peak"] = peak.Value, ["task-error"] = 100 - peak.Value, ["peak-step"] = peak.Step, ["task-end"] = task[^1].Value, ["told-end"] = Percent(run, "told")[^1].Value, ["kept-end"] = Percent(run, "kept")[^1].Value,
            ["domain-loss-start"] = loss[0].Value, ["domain-loss"] = loss[^1].Value, ["domain-rises"] = loss.Zip(loss.Skip(1), (from, to) => to.Value > from.Value + 0.02 ? 1 : 0).Sum(), ["clean"] = clean,
        };
        var ratios = run.Curve("bottom_to_top_update");
        if (ratios.Count > 0) (measures["early-ratio"], measures["late-ratio"]) = (ratios[0].Value, ratios[^1].Value);
        return new ExperimentOutcome
        {
            Measures = measures,
            Curves =
            [
                new("Questions about the world", "steps", "answered right, %", [.. skill.Select(point => new CurvePoint(point.Step, point.Value))]),
                new("Questions about the domain", "steps", "answered right, %", [.. task.Select(point => new CurvePoint(point.Step, point.Value))]),
                new("Loss on the domain's text", "steps", "nats a token", [.. loss.Select(point => new CurvePoint(point.Step, point.Value))]),
            ],
            Parameters = run.Parameters, Tokens = run.Tokens, Flops = run.Flops,
        };
    }

    private static IReadOnlyList<(long Step, double Value)> Percent(ProbedRun run, string group) => [.. run.Curve($"exercise_accuracy.{group}").Select(point => (point.Step, 100 * point.Value))];

    /// <summary>The world's files, the tokenizer and the general model of a seed.</summary>
    private void Prepare(ExperimentContext context, RecipeNode recipe)
    {
        var (stages, world) = (new StageTraining(context), new DomainWorld(context.Seed, options.People));
        var general = DomainWorld.Sources.Select(source => (source.Share, File: stages.Write(source.Name, world.General(source.Name, (int)(options.Pool * 5 * Math.Max(0.1, source.Share)))))).ToList();
        var reference = stages.Write("reference", world.Reference(400, 0));
        var model = NgramModel.Train([.. world.Reference(400, 0).Select(text => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(text))], 5);
        // The pool by perplexity: windows of neighbours are then of like quality, and a part of it is its beginning.
        var pool = world.Pool(options.Pool).Select((one, i) => (one.Text, one.Quality, Perplexity: model.Perplexity(Encoding.UTF8.GetBytes(one.Text)), Place: i)).OrderBy(one => one.Perplexity).ThenBy(one => one.Place).ToList();
        AtomicFile.WriteText(Path.Combine(context.Folder, "pool.jsonl"), string.Concat(pool.Select(one => JsonSerializer.Serialize(new { text = one.Text, perplexity = one.Perplexity, quality = one.Quality.ToString() }) + "\n")));
        Exercises(context.Folder, world);
        var tokenizer = stages.Tokenizer(recipe, [.. general.Select(one => one.File), reference]);
        var folder = stages.Train("general", recipe.With("data.tokenizer", $"{{ kind: file, path: {tokenizer} }}").With("training.steps", $"{options.BaseSteps}").With("optimizer.rate", options.BaseRate.ToString("R", CultureInfo.InvariantCulture)).With("practices", "[]").With("evaluation.probes", "[]")
            .With("data.sources", $"[{string.Join(", ", general.Select(one => $"{{ path: {one.File}, weight: {one.Share.ToString(CultureInfo.InvariantCulture)} }}"))}]"));
        AtomicFile.WriteText(Path.Combine(context.Folder, "base.txt"), folder);
    }

    private void Exercises(string folder, DomainWorld world)
    {
        IEnumerable<object> Asked(string group, IEnumerable<Exercise> exercises) => exercises.Select(one => (object)new { group, prompt = one.Prompt + Exercise.Separator, answer = " " + one.Answer });
        IEnumerable<object> Told(string group, IEnumerable<Exercise> exercises) => exercises.Select(one => (object)new { group, prompt = one.Prompt, answer = " " + one.Answer });
        IEnumerable<object> all =
        [
            .. Asked("skill", world.GeneralQuestions), .. Asked("domain", world.DomainQuestions), .. Told("kept", world.GeneralQuestions), .. Told("told", world.DomainQuestions),
            .. world.Reference(25, 1).Select(text => new { group = "text", prompt = "", answer = text }),
        ];
        AtomicFile.WriteText(Path.Combine(folder, "exercises.jsonl"), string.Concat(all.Select(one => JsonSerializer.Serialize(one) + "\n")));
    }

    /// <summary>The arm's sources and order, and the share of clean documents that it may read.</summary>
    private (string Sources, string Order, double Clean) Sources(string shared, ExperimentContext context)
    {
        string[] pool = File.ReadAllLines(Path.Combine(shared, "pool.jsonl"));
        var part = Math.Max(1, pool.Length / options.Parts);
        IReadOnlyList<string> read = options.Select switch
        {
            DomainSelection.All => pool,
            DomainSelection.Random => new WorldDraws(context.Seed, 50, 0).Shuffled(pool)[..part],
            // A third of the pool is clean: the pool of the best that parts are drawn from anew.
            _ => pool[..(options.Mixture == DomainMixture.Dynamic ? Math.Max(part, pool.Length / 3) : part)],
        };
        var file = Path.Combine(context.Folder, "domain.jsonl");
        AtomicFile.WriteText(file, string.Concat(read.Select(line => line + "\n")));
        var clean = read.Count(line => line.Contains($"\"{nameof(PoolQuality.Clean)}\"", StringComparison.Ordinal)) / (double)read.Count;
        var order = options.Mixture == DomainMixture.Dynamic ? $"{{ kind: subset, share: {(part / (double)read.Count).ToString("R", CultureInfo.InvariantCulture)}, pool: {(read.Count / (double)part).ToString("R", CultureInfo.InvariantCulture)} }}" : "shuffled";
        var domain = options.Mixture switch { DomainMixture.None => 1, DomainMixture.Replay => 0.9, _ => DomainWorld.Sources[0].Share };
        var others = DomainWorld.Sources.Where(source => options.Mixture != DomainMixture.None && (options.Mixture == DomainMixture.Replay || source.Name != "web")).ToList();
        var rest = others.Sum(source => source.Share);
        List<string> sources = [$"{{ path: {file}, weight: {domain.ToString("R", CultureInfo.InvariantCulture)} }}", .. others.Select(source => $"{{ path: {Path.Combine(shared, source.Name)}.jsonl, weight: {((1 - domain) * source.Share / rest).ToString("R", CultureInfo.InvariantCulture)} }}")];
        return ($"[{string.Join(", ", sources)}]", order, clean);
    }
}
