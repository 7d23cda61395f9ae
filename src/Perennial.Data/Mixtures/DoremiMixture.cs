using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Data.Mixtures;

/// <summary>Options of <see cref="DoremiMixture"/>.</summary>
public sealed record DoremiMixtureOptions : OnlineMixtureOptions
{
    /// <summary>η, the step of the exponentiated gradient.</summary>
    [Range(0.0, 1000.0)]
    public double Eta { get; init; } = 1;

    /// <summary>c: share of the uniform weights mixed in after every step.</summary>
    [Range(0.0, 1.0)]
    public double Smoothing { get; init; } = 1e-3;

    /// <summary>Losses that each source can come down to, nats a target, in the recipe's order; give this or <see cref="Checkpoint"/>.</summary>
    public IReadOnlyList<double> Reference { get; init; } = [];

    /// <summary>A checkpoint of a reference model, whose losses are measured on the same held-out text at the start.</summary>
    public string? Checkpoint { get; init; }

    /// <inheritdoc/>
    public override IEnumerable<(string Key, string Problem)> Problems()
    {
        foreach (var problem in base.Problems()) yield return problem;
        if (Reference.Count == 0 == (Checkpoint is null)) yield return ("reference", "or 'checkpoint' must be given, and not both: DoReMi follows what is left to learn above a reference");
    }
}

/// <summary>
/// DoReMi's rule (Xie et al. 2023, arXiv 2305.10429, algorithm 1) on the run itself: α_i ← α_i exp(η max(L_i − L_i^ref, 0)), normalized and
/// smoothed. The paper trains a small proxy by it and then the model by the proxy's mean α; here the model's own held-out losses drive it.
/// </summary>
[Component("doremi")]
public sealed class DoremiMixture : OnlineMixture
{
    private readonly DoremiMixtureOptions options;
    private double[] weights;
    private double[]? reference;

    /// <summary>Starts from the recipe's weights.</summary>
    /// <exception cref="PerennialException">Exit 2: not one reference loss for each source.</exception>
    public DoremiMixture(DoremiMixtureOptions options, MixtureContext context)
        : base(options, context)
    {
        this.options = options;
        if (options.Reference.Count > 0 && options.Reference.Count != Count) throw PerennialException.Usage($"data.mixture.reference: {options.Reference.Count} losses for {Count} sources");
        weights = Prior;
    }

    /// <inheritdoc/>
    protected override double[] Shares(MixtureMoment moment, IReadOnlyList<double> losses)
    {
        reference ??= options.Checkpoint is null ? [.. options.Reference]
            : [.. Context.LossesOf?.Invoke(options.Checkpoint) ?? throw PerennialException.Usage("data.mixture: the reference checkpoint's losses are measured in a run; there is none here")];
        var raised = Simplex.Softmax([.. weights.Select((weight, i) => Math.Log(Math.Max(weight, 1e-300)) + options.Eta * Math.Max(losses[i] - reference[i], 0))]);
        return weights = [.. raised.Select(weight => (1 - options.Smoothing) * weight + options.Smoothing / Count)];
    }

    /// <inheritdoc/>
    public override JsonObject? Save() => new() { ["weights"] = ToJson(weights), ["reference"] = reference is null ? null : ToJson(reference) };

    /// <inheritdoc/>
    public override void Load(JsonObject? state)
    {
        weights = state?["weights"] is { } saved ? FromJson(saved) : Prior;
        reference = state?["reference"] is { } known ? FromJson(known) : null;
    }
}
