using Perennial.Core;
using Perennial.Data.Preparation;
using Perennial.Evaluation.Checkpoints;
using Perennial.Evaluation.Tasks;
using Perennial.Experiments.Runs;
using Perennial.Models;
using Perennial.Models.Quantization;
using Perennial.Training;
using Perennial.Training.HeldOut;
using Perennial.Training.Recipes;

namespace Perennial.Experiments.Measured;

/// <summary>Options of <see cref="OutlierExperiment"/>.</summary>
public sealed record OutlierExperimentOptions
{
    /// <summary>Whether an outlier channel is also made on purpose in the trained model, and rotated away again.</summary>
    public bool Mechanism { get; init; }

    /// <summary>How much that channel is amplified.</summary>
    public double Factor { get; init; } = 50;
}

/// <summary>Trains a recipe, then measures how its checkpoint (merged into an ordinary Llama) bears rounding, and outliers in its activations.</summary>
/// <remarks>
/// Measures, losses in nats a token of held-out text: <c>loss</c>; <c>increase-4-8-16</c>, <c>increase-4-8-8</c>, <c>increase-4-4-16</c>, <c>increase-4-4-4</c> (bits of weights,
/// activations, cache; clipping searched, a scale a row); <c>kurtosis</c>, <c>worst-kurtosis</c>, <c>first-kurtosis</c> (every token at position 0), <c>max-over-median</c>. With
/// <c>mechanism</c> also <c>amplified-loss-change</c> (must be about 0), <c>amplified-increase</c>, <c>amplified-kurtosis</c> and <c>plain-kurtosis</c> (of what matrices read; the ceiling is
/// width − 3), <c>rotated-increase</c> and <c>rotated-kurtosis</c>.
/// </remarks>
[Component("outliers")]
public sealed class OutlierExperiment(OutlierExperimentOptions options) : IExperiment
{
    private static readonly (int Weights, int Activations, int Cache)[] Schemes = [(4, 8, 16), (4, 8, 8), (4, 4, 16), (4, 4, 4)];

    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var recipe = new RecipeLoader(context.Components).Bind(context.Recipe ?? throw PerennialException.Usage("experiment 'outliers' trains: the paper must name a recipe"));
        var run = RecordedTraining.Execute(context.Components, recipe, context.Folder, context.Progress, context.Cancellation);
        using var checkpoint = LoadedCheckpoint.Open(context.Folder, _ => { });
        using var data = DataPreparation.Prepare(recipe.Data, recipe.Seed);
        var text = EvaluationText.HeldOut(data);
        var config = checkpoint.Model.Config;
        var loss = new TextScorer().Score(checkpoint.Model, text).Loss;
        var measures = new Dictionary<string, double> { ["loss"] = loss };
        foreach (var (weights, activations, cache) in Schemes)
        {
            using var copy = PlainCopy.Of(checkpoint.Model);
            measures[$"increase-{weights}-{activations}-{cache}"] = Rounded(weights, activations, cache).Measure(copy, config, text) - loss;
        }
        var task = new ActivationOutliersTask(new ActivationOutliersOptions());
        using var plain = PlainCopy.Of(checkpoint.Model);
        var (probe, alone) = (task.Probe(plain, config, text, alone: false), task.Probe(plain, config, text, alone: true));
        (measures["kurtosis"], measures["worst-kurtosis"], measures["max-over-median"], measures["first-kurtosis"]) = (probe.Mean, probe.Worst, probe.Ratio, alone.Mean);
        if (options.Mechanism) Mechanism(checkpoint.Model, config, text, loss, task, context.Seed, measures);
        var steps = run.Events.OfType<StepDone>().ToList();
        return new ExperimentOutcome
        {
            Measures = measures,
            Curves = [new("Training loss", "tokens", "nats a token", [.. steps.Where((_, i) => i % Math.Max(1, steps.Count / 100) == 0).Select(step => new CurvePoint(step.Tokens, step.Loss))])],
            Parameters = run.Started.Parameters,
            Tokens = run.Result.Tokens,
            Flops = run.Flops,
        };
    }

    private void Mechanism(ILanguageModel model, DecoderConfig config, EvaluationText text, double loss, ActivationOutliersTask task, ulong seed, Dictionary<string, double> measures)
    {
        using var plain = PlainCopy.Of(model);
        measures["plain-kurtosis"] = task.Probe(plain, config, text, alone: false).OfInputs;
        using var amplified = PlainCopy.Of(model);
        StreamTransforms.Amplify(amplified, config, config.Width / 2, options.Factor);
        measures["amplified-kurtosis"] = task.Probe(amplified, config, text, alone: false).OfInputs;
        measures["amplified-loss-change"] = Math.Abs(Rounded(16, 16, 16).Measure(amplified, config, text) - loss);
        using var rotated = PlainCopy.Of(model);
        StreamTransforms.Amplify(rotated, config, config.Width / 2, options.Factor);
        StreamTransforms.Rotate(rotated, config, seed);
        measures["rotated-kurtosis"] = task.Probe(rotated, config, text, alone: false).OfInputs;
        measures["rotated-increase"] = Rounded(4, 4, 4).Measure(rotated, config, text) - loss;
        measures["amplified-increase"] = Rounded(4, 4, 4).Measure(amplified, config, text) - loss;
    }

    private static QuantizedLossTask Rounded(int weights, int activations, int cache) => new(new QuantizedLossOptions { Weights = weights, Activations = activations, Cache = cache });
}
