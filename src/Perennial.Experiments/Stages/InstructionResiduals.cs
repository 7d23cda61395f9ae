using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Tokenizers;
using Perennial.Experiments.Measured;
using Perennial.Training.Checkpoints;

namespace Perennial.Experiments.Stages;

/// <summary>Options of <see cref="InstructionResiduals"/>.</summary>
public sealed record InstructionResidualsOptions
{
    /// <summary>Steps of pre-training on the first text.</summary>
    [Range(1, 1_000_000)]
    public int BaseSteps { get; init; } = 1000;

    /// <summary>Steps of instruction tuning.</summary>
    [Range(1, 1_000_000)]
    public int TuneSteps { get; init; } = 300;

    /// <summary>The tuning's rate over the pre-training's.</summary>
    [Range(0.0, 10.0, MinimumIsExclusive = true)]
    public double TuneRate { get; init; } = 0.5;

    /// <summary>The continued pre-training's rate over the pre-training's.</summary>
    [Range(0.0, 10.0, MinimumIsExclusive = true)]
    public double ContinueRate { get; init; } = 1;

    /// <summary>Steps on the second text after which everything is measured, rising; the last is the largest size.</summary>
    [MinLength(1)]
    public IReadOnlyList<int> Sizes { get; init; } = [100, 300, 900];

    /// <summary>Factors λ on the residual that are tried at the largest size.</summary>
    [MinLength(1)]
    public IReadOnlyList<double> Scales { get; init; } = [0.5, 0.75, 1, 1.25, 1.5];

    /// <summary>People in each of the two texts.</summary>
    [Range(4, 128)]
    public int People { get; init; } = 40;

    /// <summary>Instructions that are held out.</summary>
    [Range(6, 100_000)]
    public int Held { get; init; } = 150;
}

/// <summary>
/// Continued pre-training with instruction following kept or not: strategies 1 to 4 of Jindal et al. 2024 (arXiv 2410.10739) on one seed's
/// base model. Measures accuracies in percent (greedy answers, word for word).
/// </summary>
[Component("instruction-residuals")]
public sealed class InstructionResiduals(InstructionResidualsOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var recipe = context.Recipe ?? throw PerennialException.Usage("experiment 'instruction-residuals' needs a recipe");
        var stages = new StageTraining(context);
        var world = new InstructionWorld(context.Seed, options.People);
        // Half of the people are asked about while tuning; the other half shows whether questions reach what was only told.
        var asked = world.Old.Take(options.People / 2).ToList();
        var unasked = world.Old.Skip(options.People / 2).ToList();
        var first = stages.Write("first", world.Texts(world.Old, 8000, 2));
        var second = stages.Write("second", world.Texts(world.New, 8000, 3));
        var taught = stages.Write("instructions", world.Instructions(asked, 3000, 4).Select(exercise => exercise.Document));
        var tokenizer = stages.Tokenizer(recipe, first, second, taught);
        recipe = recipe.With("data.tokenizer", $"{{ kind: file, path: {tokenizer} }}");
        var rate = double.Parse(((RecipeScalar)((RecipeMapping)((RecipeMapping)recipe)["optimizer"]!)["rate"]!).Text!, System.Globalization.CultureInfo.InvariantCulture);

        string Pretrain(string name, RecipeNode from, string text, int steps, string? start) => stages.Train(name, (start is null ? from : from.With("model", $"{{ kind: checkpoint, path: {start} }}"))
            .With("data.sources", $"[{{ path: {text} }}]").With("training.steps", $"{steps}").With("resilience.checkpoint", $"{options.Sizes[0]} steps").With("resilience.keep", "1000"));
        string Rate(double share) => (rate * share).ToString("R", System.Globalization.CultureInfo.InvariantCulture);
        var gentle = recipe.With("optimizer.rate", Rate(options.ContinueRate));
        string Tune(string name, string start) => stages.Train(name, recipe.With("model", $"{{ kind: checkpoint, path: {start} }}").With("data.sources", $"[{{ path: {taught} }}]")
            .With("data.documents", "separate").With("objective", $"{{ kind: response, after: \"{Exercise.Separator}\" }}").With("training.steps", $"{options.TuneSteps}")
            .With("optimizer.rate", Rate(options.TuneRate)));

        var longest = options.Sizes[^1];
        var basis = Pretrain("base", recipe, first, options.BaseSteps, null);
        var tuned = Tune("tuned", basis);
        Pretrain("continued-base", gentle, second, longest, basis);
        Pretrain("continued-tuned", gentle, second, longest, tuned);
        var residual = stages.FolderOf("residual");
        if (!Directory.Exists(residual)) WeightDelta.Create(basis, tuned, residual);
        string Apply(string name, string onto, double scale = 1)
        {
            var target = stages.FolderOf(name);
            if (!Directory.Exists(target)) WeightDelta.Apply(onto, residual, target, scale);
            return target;
        }

        var held = world.Instructions(asked, options.Held, 5).ToList();
        var words = TokenizerJson.Load(tokenizer);
        var measures = new Dictionary<string, double>();
        double Instructions(string folder) => Score(folder, held);
        double Score(string folder, IReadOnlyList<Exercise> exercises)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            using var model = StageTraining.Load(folder);
            return 100 * Answers.Accuracy(model, words, exercises);
        }
        double Facts(string folder, IReadOnlyList<InstructionWorld.Person> about)
        {
            using var model = StageTraining.Load(folder);
            return 100 * InstructionWorld.Facts(about).Average(fact => Completion.IsRight(model, words, fact) ? 1.0 : 0.0);
        }

        foreach (var (size, place) in options.Sizes.Select((size, i) => (size, i)))
        {
            var label = place == options.Sizes.Count - 1 ? "long" : place == 0 ? "short" : place == 1 ? "middle" : $"size-{place}";
            var (onBase, onTuned) = (stages.CheckpointOf("continued-base", size), stages.CheckpointOf("continued-tuned", size));
            measures[$"s1-{label}"] = Instructions(onTuned);
            measures[$"s2-{label}"] = Instructions(Tune($"retuned-{label}", onBase));
            measures[$"s3-{label}"] = Instructions(Apply($"added-{label}", onBase));
            context.Progress.Report(0.6 + 0.2 * (place + 1) / options.Sizes.Count);
        }
        var (continued, added) = (stages.CheckpointOf("continued-base", longest), stages.FolderOf("added-long"));
        measures["s4-long"] = Instructions(Apply("added-to-tuned", stages.CheckpointOf("continued-tuned", longest)));
        measures["base"] = Instructions(basis);
        measures["tuned"] = Instructions(tuned);
        measures["continued-base"] = Instructions(continued);
        measures["new-facts-base"] = Facts(continued, world.New);
        measures["new-facts-s1"] = Facts(stages.CheckpointOf("continued-tuned", longest), world.New);
        measures["new-facts-s3"] = Facts(added, world.New);
        measures["old-facts-s3"] = Facts(added, world.Old);
        measures["new-questions-s3"] = Score(added, InstructionWorld.Questions(world.New));
        measures["new-questions-s2"] = Score(stages.CheckpointOf("retuned-long", options.TuneSteps), InstructionWorld.Questions(world.New));
        measures["unasked-questions"] = Score(tuned, InstructionWorld.Questions(unasked));
        var byScale = options.Scales.Select(scale => (Scale: scale, Accuracy: Instructions(Apply($"added-{scale}", continued, scale)))).ToList();
        // Of equally good factors the one nearest to 1.
        measures["best-scale"] = byScale.OrderByDescending(pair => pair.Accuracy).ThenBy(pair => Math.Abs(pair.Scale - 1)).First().Scale;
        measures["gain-on-base"] = measures["tuned"] - measures["base"];
        measures["gain-on-continued"] = measures["s3-long"] - measures["continued-base"];

        // A model of another start knows nothing of the residual's directions.
        var stranger = Pretrain("stranger", recipe.With("seed", $"{context.Seed + 1000}"), first, options.BaseSteps, null);
        measures["stranger"] = Instructions(Apply("added-to-stranger", stranger));
        return new ExperimentOutcome
        {
            Measures = measures,
            Curves = [new("Accuracy by factor on the residual", "factor", "instructions right, %", [.. byScale.Select(pair => new Runs.CurvePoint(pair.Scale, pair.Accuracy))])],
            Parameters = stages.Parameters,
            Tokens = stages.Tokens,
            Flops = stages.Flops,
        };
    }
}
