using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Practices;

/// <summary>Options of <see cref="EmaPractice"/>.</summary>
public sealed record EmaOptions
{
    /// <summary>Weight of the old average in every step; 0.999 averages over about the last thousand steps.</summary>
    [Range(0.0, 0.9999999)]
    public double Decay { get; init; } = 0.999;

    /// <summary>Whether the decay rises as (1 + step) / (10 + step) until it reaches its value, so that the start is forgotten.</summary>
    public bool WarmUp { get; init; } = true;
}

/// <summary>Keeps an exponential moving average of the weights, scores it beside the raw ones and writes it into checkpoints.</summary>
[Component("ema")]
public sealed class EmaPractice : Practice, IPartwisePractice
{
    private readonly EmaOptions options;
    private readonly Tensor average;

    /// <summary>The average starts as the initial weights.</summary>
    public EmaPractice(EmaOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        this.options = options;
        using var scope = NewDisposeScope();
        average = parameters.Values.clone().DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public override IReadOnlyList<StateSlot> Slots => [new("ema", average)];

    /// <inheritdoc/>
    public override IReadOnlyList<StateSlot> Exports => Slots;

    /// <inheritdoc/>
    public override void AfterStep(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var decay = options.WarmUp ? Math.Min(options.Decay, (1.0 + context.Step) / (10.0 + context.Step)) : options.Decay;
        using var _ = no_grad();
        average.lerp_(context.Model.Parameters.Values, 1 - decay);
    }

    /// <inheritdoc/>
    public override void AtInterval(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        WeightSwap.With(context.Model, average, () => context.Services.Evaluate("ema"));
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        average.Dispose();
        base.Dispose();
    }
}
