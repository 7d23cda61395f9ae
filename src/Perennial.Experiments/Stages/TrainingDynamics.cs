using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Evaluation.Dynamics;
using Perennial.Evaluation.Events;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;

namespace Perennial.Experiments.Stages;

/// <summary>Options of <see cref="TrainingDynamics"/>.</summary>
public sealed record TrainingDynamicsOptions
{
    /// <summary>Widths of the models, smallest first; the last is foretold from the others.</summary>
    [MinLength(3)]
    public IReadOnlyList<int> Widths { get; init; } = [32, 64, 128];

    /// <summary>English prose: a text file.</summary>
    public string Prose { get; init; } = "corpus/austen/emma.txt";

    /// <summary>Spanish: a text file.</summary>
    public string Spanish { get; init; } = "corpus/scripture/es.txt";

    /// <summary>Exercises of each task.</summary>
    [Range(10, 100_000)]
    public int Exercises { get; init; } = 100;

    /// <summary>Moments at which everything is measured, evenly in log tokens.</summary>
    [Range(6, 1000)]
    public int Moments { get; init; } = 18;
}

/// <summary>
/// Follows task curves over training at several sizes (Yang et al. 2024, arXiv 2404.01204): how alike they are, whether tasks of a domain foretell each other, whether small models foretell a large one, whether the loss
/// ranks checkpoints of different mixtures, and in which order tasks saturate.
/// </summary>
/// <remarks>
/// Measures: <c>moved</c> (tasks that move by more than three standard errors in both of two neighbouring sizes, summed over pairs), <c>level</c>, <c>detrended</c>, <c>changes</c> (medians over those, see <see cref="CurveSimilarity"/>),
/// <c>level-loss</c> (the same by the loss of right answers), <c>in-domain</c> and <c>cross-domain</c> (mean R², not below −1, of tasks of the largest model foretold by pools of equal size), <c>forecast-error</c> and <c>baseline-error</c> (mean absolute error of
/// the largest model's final accuracies, foretold or taken from the next smaller one), <c>rank-within</c> and <c>rank-across</c> (Kendall's τ of −training loss and mean accuracy over pairs of checkpoints of one run, and of runs on different
/// mixtures), <c>saturation</c> (mean over neighbouring sizes of Spearman's correlation of the tokens at which tasks have 90 % of their gain in the loss of right answers), <c>final-small</c>, <c>final-large</c> (mean accuracies, percent).
/// </remarks>
[Component("training-dynamics")]
public sealed class TrainingDynamics(TrainingDynamicsOptions options) : IExperiment
{
    private const string Accuracy = "exercise_accuracy.", Loss = "exercise_loss.";
    private static readonly string[] Sources = ["prose", "spanish", "facts", "copy", "brackets", "addition", "sorting"];

    // The main mixture; more language; more algorithms.
    private static readonly double[][] Mixtures = [[0.3, 0.15, 0.15, 0.1, 0.1, 0.1, 0.1], [0.55, 0.25, 0.1, 0.025, 0.025, 0.025, 0.025], [0.1, 0.05, 0.05, 0.2, 0.2, 0.2, 0.2]];

    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var recipe = context.Recipe ?? throw PerennialException.Usage("experiment 'training-dynamics' needs a recipe");
        var stages = new StageTraining(context);
        var world = new SkillWorld(context.Seed, File.ReadAllText(options.Prose), File.ReadAllText(options.Spanish));
        string[] files = [.. Sources.Select(source => stages.Write(source, world.Documents(source, 6000)))];
        AtomicFile.WriteText(stages.FolderOf("exercises.jsonl"), string.Concat(world.Exercises(options.Exercises).Select(one => JsonSerializer.Serialize(new { group = one.Group, prompt = one.Prompt, answer = one.Answer, choices = one.Choices }) + "\n")));
        var tokenizer = stages.Tokenizer(recipe, files);
        recipe = recipe.With("data.tokenizer", $"{{ kind: file, path: {tokenizer} }}").With("evaluation.tasks", $"[bits-per-byte, {{ kind: exercises, path: {stages.FolderOf("exercises.jsonl")} }}]");
        var tasks = SkillWorld.Domains.SelectMany(domain => domain.Tasks).ToList();
        var (tokens, flops, parameters) = (0L, 0.0, 0L);
        List<Followed> sizes = [.. options.Widths.Select((width, i) => Run($"width-{width}", width, Mixtures[0], i))];
        var middle = options.Widths.Count / 2;
        List<Followed> mixtures = [sizes[middle], .. Mixtures.Skip(1).Select((mixture, i) => Run($"mixture-{i + 1}", options.Widths[middle], mixture, options.Widths.Count + i))];

        List<TrainingCurve> curves = [.. sizes.Select(one => one.Curve)];
        var similar = CurveSimilarity.Of(curves);
        var moved = similar.Where(one => one.Metric.StartsWith(Accuracy, StringComparison.Ordinal) && curves.Where(curve => curve.Parameters == one.First || curve.Parameters == one.Second).All(curve => Moves(curve, one.Metric))).ToList();
        var named = moved.Select(one => (Metric: Loss + one.Metric[Accuracy.Length..], one.First)).ToHashSet();
        var (inside, across) = Predictability(curves);
        var forecasts = CurveForecast.OfLargest(curves).Where(one => one.Metric.StartsWith(Accuracy, StringComparison.Ordinal)).ToList();
        var (within, between) = Ranking(mixtures);
        var saturation = curves.Zip(curves.Skip(1), (smaller, larger) => RankCorrelation.Spearman([.. tasks.Select(task => Saturation.Tokens(smaller, Loss + task))], [.. tasks.Select(task => Saturation.Tokens(larger, Loss + task))])).Average();
        return new ExperimentOutcome
        {
            Measures = new Dictionary<string, double>
            {
                ["moved"] = moved.Count, ["level"] = Median(moved.Select(one => one.Level)), ["detrended"] = Median(moved.Select(one => one.Detrended)), ["changes"] = Median(moved.Select(one => one.Differences)),
                ["level-loss"] = Median(similar.Where(one => named.Contains((one.Metric, one.First))).Select(one => one.Level)),
                ["in-domain"] = inside, ["cross-domain"] = across, ["forecast-error"] = forecasts.Average(one => one.Error), ["baseline-error"] = forecasts.Average(one => one.BaselineError),
                ["rank-within"] = within, ["rank-across"] = between, ["saturation"] = saturation, ["final-small"] = 100 * Mean(curves[0].Moments[^1]), ["final-large"] = 100 * Mean(curves[^1].Moments[^1]),
            },
            Curves = [.. SkillWorld.Domains.Select(domain => new MeasuredCurve($"Largest model, {domain.Domain}: mean accuracy", "tokens", "right, %",
                [.. curves[^1].Moments.Select(moment => new CurvePoint(moment.Tokens, 100 * domain.Tasks.Average(task => moment.Metrics[Accuracy + task])))]))],
            Parameters = parameters, Tokens = tokens, Flops = flops,
        };

        double Mean(CurveMoment moment) => tasks.Average(task => moment.Metrics[Accuracy + task]);

        Followed Run(string name, int width, double[] mixture, int place)
        {
            var steps = long.Parse(((RecipeScalar)((RecipeMapping)((RecipeMapping)recipe)["training"]!)["steps"]!).Text!, CultureInfo.InvariantCulture);
            // Evenly in the logarithm, from a hundredth of the run on.
            var probes = Enumerable.Range(0, options.Moments).Select(i => Math.Max(1, (long)Math.Round(steps * Math.Pow(0.01, 1 - (i + 1.0) / options.Moments)))).Where(step => step < steps).Distinct();
            var run = ProbedRun.Train(context with { Progress = new Part(context.Progress, place, options.Widths.Count + Mixtures.Length - 1) }, recipe.With("model.width", $"{width}").With("model.heads", $"{Math.Max(2, width / 16)}")
                .With("evaluation.probes", $"[{string.Join(", ", probes.Select(step => $"{step} steps"))}]")
                .With("data.sources", $"[{string.Join(", ", files.Zip(mixture, (file, share) => $"{{ path: {file}, weight: {share.ToString(CultureInfo.InvariantCulture)} }}"))}]"), stages.FolderOf(name));
            (tokens, flops, parameters) = (tokens + run.Tokens, flops + run.Flops, run.Parameters);
            var history = RunHistory.Load(stages.FolderOf(name));
            var moments = run.Moments.Where(moment => moment.Step > 0).ToList();
            // The loss of its own mixture: of the training steps just before a moment.
            return new(new TrainingCurve(name, run.Parameters, [.. moments.Select(moment => new CurveMoment(moment.Step, moment.Tokens, moment.Values))]),
                [.. moments.Select(moment => history.Steps.Where(step => step.Step <= moment.Step && step.Step > moment.Step - Math.Max(1, Math.Min(20, moment.Step / 2))).Average(step => step.Loss))], [.. moments.Select(moment => tasks.Average(task => moment.Values[Accuracy + task]))]);
        }
    }

    private bool Moves(TrainingCurve curve, string metric)
    {
        var values = RankCorrelation.MedianOfThree([.. curve.Moments.Select(moment => moment.Metrics[metric])]);
        var chance = SkillWorld.Chance(metric[Accuracy.Length..]);
        return values.Max() - values[0] > 3 * Math.Sqrt(chance * (1 - chance) / options.Exercises);
    }

    private static (double Inside, double Across) Predictability(List<TrainingCurve> curves)
    {
        List<double> inside = [], across = [];
        foreach (var domain in SkillWorld.Domains)
            foreach (var task in domain.Tasks)
            {
                string[] own = [.. domain.Tasks.Where(other => other != task)], foreign = [.. SkillWorld.Domains.Where(other => other != domain).SelectMany(other => other.Tasks)];
                var judged = R(task, own);
                if (double.IsNaN(judged)) continue;
                inside.Add(judged);
                across.Add(Subsets(foreign, own.Length).Average(pool => R(task, pool)));
            }
        return (inside.Average(), across.Average());

        double R(string task, IReadOnlyList<string> pool) => TaskPrediction.RSquared([.. curves.SkipLast(1)], curves[^1], Accuracy + task, [.. pool.Select(one => Accuracy + one)],
            (metric, value) => SkillWorld.Chance(metric[Accuracy.Length..]) is var chance ? (value - chance) / (1 - chance) : value) is var r && double.IsNaN(r) ? r : Math.Max(-1, r);
    }

    private static IEnumerable<IReadOnlyList<string>> Subsets(string[] of, int size) =>
        Enumerable.Range(0, 1 << of.Length).Where(bits => System.Numerics.BitOperations.PopCount((uint)bits) == size).Select(bits => (IReadOnlyList<string>)[.. of.Where((_, i) => (bits >> i & 1) == 1)]);

    /// <summary>Kendall's τ over pairs of checkpoints of one run, and over pairs of two.</summary>
    private static (double Within, double Across) Ranking(List<Followed> runs)
    {
        var all = runs.SelectMany((run, r) => run.Losses.Zip(run.Accuracies, (loss, accuracy) => (Run: r, Loss: loss, Accuracy: accuracy))).ToList();
        double Tau(bool same)
        {
            var signs = all.SelectMany((a, i) => all.Skip(i + 1).Where(b => a.Run == b.Run == same).Select(b => (double)Math.Sign(b.Loss - a.Loss) * Math.Sign(a.Accuracy - b.Accuracy))).ToList();
            return signs.Average();
        }
        return (Tau(true), Tau(false));
    }

    private static double Median(IEnumerable<double> values) => Quantile.Median(values.Where(double.IsFinite).DefaultIfEmpty(0));

    private sealed record Followed(TrainingCurve Curve, IReadOnlyList<double> Losses, IReadOnlyList<double> Accuracies);

    private sealed class Part(IProgress<double> whole, int place, int count) : IProgress<double>
    {
        public void Report(double value) => whole.Report((place + value) / count);
    }
}
