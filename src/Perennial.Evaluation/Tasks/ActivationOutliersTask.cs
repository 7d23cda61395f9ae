using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Models;
using Perennial.Models.Quantization;
using Perennial.Tensors;
using Perennial.Training.HeldOut;
using static TorchSharp.torch;

namespace Perennial.Evaluation.Tasks;

/// <summary>Options of <see cref="ActivationOutliersTask"/>.</summary>
public sealed record ActivationOutliersOptions
{
    /// <summary>Windows of the text that are looked at, evenly spread.</summary>
    [Range(1, 100_000)]
    public int Windows { get; init; } = 128;
}

/// <summary>
/// Outliers in the residual stream: excess kurtosis over channels (Park et al. 2025), mean over tokens and places, the worst place, the same with
/// every token alone at position 0 (as the published script feeds them), and largest over median magnitude.
/// </summary>
[Component("activation-outliers")]
public sealed class ActivationOutliersTask(ActivationOutliersOptions options) : IEvaluationTask
{
    /// <inheritdoc/>
    public IReadOnlyDictionary<string, double> Measure(EvaluationContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        using var parameters = PlainCopy.Of(context.Model);
        var (whole, alone) = (Probe(parameters, context.Model.Config, context.Text, alone: false), Probe(parameters, context.Model.Config, context.Text, alone: true));
        return new Dictionary<string, double>
        {
            ["kurtosis"] = whole.Mean, ["kurtosis_worst_layer"] = whole.Worst, ["kurtosis_inputs"] = whole.OfInputs, ["max_over_median"] = whole.Ratio, ["kurtosis_position_0"] = alone.Mean,
        };
    }

    /// <summary>Sends windows of a text through plain weights.</summary>
    public OutlierProbe Probe(FlatParameters parameters, DecoderConfig config, EvaluationText text, bool alone)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(text);
        var probe = new OutlierProbe();
        using var model = new PlainDecoder(config, Precision.Float32, parameters) { Filter = probe };
        var windows = text.Documents.SelectMany(document => Enumerable.Range(0, (document.Length + config.Context - 1) / config.Context).Select(i => document.Slice(i * config.Context, Math.Min(config.Context, document.Length - i * config.Context)))).Where(window => window.Length > 0).ToList();
        var every = Math.Max(1.0, windows.Count / (double)options.Windows);
        for (var i = 0; i < Math.Min(options.Windows, windows.Count); i++)
        {
            using var scope = NewDisposeScope();
            using var _ = no_grad();
            var ids = windows[(int)(i * every)].ToArray().Select(id => (long)id).ToArray();
            model.Hidden(new ModelInput(alone ? tensor(ids, ids.Length, 1) : tensor(ids, 1, ids.Length), null));
        }
        return probe;
    }
}
