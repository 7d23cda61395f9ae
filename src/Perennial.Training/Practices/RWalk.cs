using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Practices;

/// <summary>Options of <see cref="RWalk"/>.</summary>
public sealed record RWalkOptions
{
    /// <summary>λ. The importance it multiplies lies between 0 and 2.</summary>
    [Range(0.0, double.MaxValue)]
    public double Strength { get; init; } = 1;

    /// <summary>α of the running Fisher information.</summary>
    [Range(0.0, 1.0)]
    public double Alpha { get; init; } = 0.9;

    /// <summary>Δt: steps after which scores are updated.</summary>
    [Range(1, 1_000_000)]
    public int Every { get; init; } = 10;

    /// <summary>ε: keeps the score finite where the distance is 0.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double Epsilon { get; init; } = 1e-8;
}

/// <summary>Riemannian walk: holds every weight by its running Fisher information and by how much the loss fell per distance walked (Chaudhry et al. 2018). Name it for the whole run: it watches every step.</summary>
/// <remarks>
/// Every step F̃ ← αg² + (1 − α)F̃ and ℓ ← ℓ − g·Δθ; every Δt steps s ← s + max(0, ℓ / (½F̃(θ − θ_{−Δt})² + ε)), ℓ ← 0. When a stage ends S ← ½(S + s) (the first
/// time S ← s), Ω = F̃/max F̃ + S/max S, θ* ← θ, s ← 0. Gradient: λΩ(θ − θ*); g is without it.
/// </remarks>
[Component("rwalk")]
public sealed class RWalk : Practice
{
    private readonly RWalkOptions options;
    private readonly FlatParameters parameters;
    private readonly ImportancePenalty penalty;
    private readonly Tensor fisher, fall, score, scores, start;
    // Of one step only: made in AfterBackward, used in AfterStep.
    private readonly Tensor gradient, before;
    private long inside, stages;

    /// <summary>Nothing is held before the first stage ends.</summary>
    public RWalk(RWalkOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters, penalty) = (options, parameters, new ImportancePenalty(parameters));
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        Tensor Zeros() => zeros_like(parameters.Values).DetachFromDisposeScope();
        (fisher, fall, score, scores, gradient, before) = (Zeros(), Zeros(), Zeros(), Zeros(), Zeros(), Zeros());
        start = parameters.Values.clone().DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public override IReadOnlyList<StateSlot> Slots =>
        [.. penalty.Slots("rwalk"), new("rwalk.fisher", fisher), new("rwalk.fall", fall), new("rwalk.score", score), new("rwalk.scores", scores), new("rwalk.start", start)];

    /// <inheritdoc/>
    public override JsonObject? Save() => new() { ["inside"] = inside, ["stages"] = stages };

    /// <inheritdoc/>
    public override void Load(JsonObject state)
    {
        ArgumentNullException.ThrowIfNull(state);
        (inside, stages) = ((long)state["inside"]!, (long)state["stages"]!);
    }

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
        fisher.mul_(1 - options.Alpha).addcmul_(gradient, gradient, options.Alpha);
        fall.addcmul_(gradient, before.sub_(parameters.Values), 1);
        if (++inside >= options.Every) CloseWindow();
    }

    /// <inheritdoc/>
    public override void StageEnded(PracticeContext context)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        if (inside > 0) CloseWindow();
        if (stages++ == 0) scores.copy_(score);
        else scores.add_(score).mul_(0.5);
        penalty.Importance.copy_(Scaled(fisher).add(Scaled(scores)));
        penalty.Anchor.copy_(parameters.Values);
        score.zero_();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        penalty.Dispose();
        foreach (var values in new[] { fisher, fall, score, scores, start, gradient, before }) values.Dispose();
        base.Dispose();
    }

    private void CloseWindow()
    {
        using var scope = NewDisposeScope();
        var way = parameters.Values - start;
        score.add_(fall.div(way.mul(way).mul_(fisher).mul_(0.5).add_(options.Epsilon)).clamp_min_(0));
        fall.zero_();
        start.copy_(parameters.Values);
        inside = 0;
    }

    private static Tensor Scaled(Tensor values) => values / values.max().clamp_min(1e-30);
}
