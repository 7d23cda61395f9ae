using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Models;
using Perennial.Models.Quantization;
using Perennial.Tensors;
using Perennial.Training.HeldOut;

namespace Perennial.Evaluation.Tasks;

/// <summary>Options of <see cref="QuantizedLossTask"/>.</summary>
public sealed record QuantizedLossOptions : IValidatedOptions
{
    /// <summary>Bits of weights: 4, 8, or 16 for no rounding.</summary>
    [Range(4, 16)]
    public int Weights { get; init; } = 4;

    /// <summary>Bits of what matrices read: 2 to 15, or 16 for no rounding.</summary>
    [Range(2, 16)]
    public int Activations { get; init; } = 4;

    /// <summary>Bits of keys and values: 2 to 15, or 16 for no rounding.</summary>
    [Range(2, 16)]
    public int Cache { get; init; } = 4;

    /// <summary>Inputs of a row of weights that share a scale; 0 for the whole row.</summary>
    [Range(0, 65536)]
    public int Group { get; init; }

    /// <summary>Whether the clipping of weights is searched.</summary>
    public bool ClipSearch { get; init; } = true;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Weights is not (4 or 8 or 16)) yield return ("weights", "must be 4, 8 or 16");
        if (Group % 8 != 0) yield return ("group", "must be a multiple of 8");
    }
}

/// <summary>The loss (nats a token) with weights, activations and key-value cache rounded to nearest, and what that costs over the model as it is.</summary>
[Component("quantized-loss")]
public sealed class QuantizedLossTask(QuantizedLossOptions options) : IEvaluationTask
{
    /// <inheritdoc/>
    public IReadOnlyDictionary<string, double> Measure(EvaluationContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        using var parameters = PlainCopy.Of(context.Model);
        var loss = Measure(parameters, context.Model.Config, context.Text);
        var name = $"{options.Weights}_{options.Activations}_{options.Cache}";
        return new Dictionary<string, double> { [$"loss_{name}"] = loss, [$"loss_increase_{name}"] = loss - context.Scores.Loss };
    }

    /// <summary>The loss of plain weights, which are rounded in place.</summary>
    public double Measure(FlatParameters parameters, DecoderConfig config, EvaluationText text)
    {
        ArgumentNullException.ThrowIfNull(config);
        if (options.Weights < 16) PlainCopy.Round(parameters, config, new QuantizationScheme(options.Weights, options.Group), options.ClipSearch);
        using var rounded = new PlainDecoder(config, Precision.Float32, parameters) { Filter = new ActivationQuantizer(options.Activations, options.Cache, config.HeadWidth) };
        return new TextScorer().Score(rounded, text).Loss;
    }
}
