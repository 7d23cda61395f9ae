using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Practices;

/// <summary>Options of <see cref="SynapticIntelligence"/>.</summary>
public sealed record SynapticIntelligenceOptions
{
    /// <summary>λ (the paper's 2c).</summary>
    [Range(0.0, double.MaxValue)]
    public double Strength { get; init; } = 0.1;

    /// <summary>ξ: keeps weights that hardly moved from seeming important.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double Damping { get; init; } = 1e-3;
}

/// <summary>Synaptic intelligence: holds every weight by what its way lowered the loss of finished stages (Zenke et al. 2017). Name it for the whole run: it watches every step.</summary>
/// <remarks>Every step ω ← ω − g·Δθ (g without the penalty); when a stage ends Ω ← Ω + max(0, ω) / ((θ − θ₀)² + ξ), θ* ← θ, ω ← 0, θ₀ being the weights at the stage's beginning. Gradient: λΩ(θ − θ*).</remarks>
[Component("si")]
public sealed class SynapticIntelligence : Practice
{
    private readonly SynapticIntelligenceOptions options;
    private readonly FlatParameters parameters;
    private readonly ImportancePenalty penalty;
    private readonly Tensor path;
    // Of one step only: made in AfterBackward, used in AfterStep.
    private readonly Tensor gradient, before;

    /// <summary>Nothing is held before the first stage ends.</summary>
    public SynapticIntelligence(SynapticIntelligenceOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters, penalty) = (options, parameters, new ImportancePenalty(parameters));
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        path = zeros_like(parameters.Values).DetachFromDisposeScope();
        gradient = zeros_like(parameters.Values).DetachFromDisposeScope();
        before = zeros_like(parameters.Values).DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public override IReadOnlyList<StateSlot> Slots => [.. penalty.Slots("si"), new("si.path", path)];

    /// <inheritdoc/>
    public override void AfterBackward(PracticeContext context)
    {
        using var _ = no_grad();
        gradient.copy_(parameters.Gradients);
        before.copy_(parameters.Values);
        penalty.AddGradient(options.Strength);
    }

    /// <inheritdoc/>
    public override void AfterStep(PracticeContext context)
    {
        using var _ = no_grad();
        // −g·Δθ = g·(before − θ)
        path.addcmul_(gradient, before.sub_(parameters.Values), 1);
    }

    /// <inheritdoc/>
    public override void StageEnded(PracticeContext context)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        // Until now the anchor was where the stage began.
        var way = parameters.Values - penalty.Anchor;
        penalty.Importance.add_(path.clamp_min(0).div(way.mul(way).add(options.Damping)));
        penalty.Anchor.copy_(parameters.Values);
        path.zero_();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        penalty.Dispose();
        path.Dispose();
        gradient.Dispose();
        before.Dispose();
        base.Dispose();
    }
}
