using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Tensors;
using Perennial.Training.Loop;
using static TorchSharp.torch;

namespace Perennial.Training.Practices;

/// <summary>Options of <see cref="Reptile"/>.</summary>
public sealed record ReptileOptions
{
    /// <summary>Steps of a window.</summary>
    public RunLength Every { get; init; } = new(500, RunUnit.Steps);

    /// <summary>ε: how much of a window's way is kept.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double Rate { get; init; } = 0.1;

    /// <summary>Steps at the beginning of every stage that make no window, such as those of warmup.</summary>
    public RunLength After { get; init; } = RunLength.None;
}

/// <summary>Every k steps goes back most of the way to where the weights were: θ ← θ₋ₖ + ε(θ − θ₋ₖ), which rewards gradients that agree (Reptile; with replay: meta-experience replay, Abbes et al. 2025, arXiv 2508.01908).</summary>
/// <remarks>Moments and schedule are untouched. A window also ends with its stage, so that the weights that are measured and kept are interpolated ones. One slot: the anchor θ₋ₖ.</remarks>
[Component("reptile")]
public sealed class Reptile : Practice
{
    private readonly ReptileOptions options;
    private readonly Tensor anchor;
    private long inside;

    /// <summary>The first window begins at the initial weights.</summary>
    public Reptile(ReptileOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        this.options = options;
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        anchor = parameters.Values.clone().DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public override IReadOnlyList<StateSlot> Slots => [new("reptile.anchor", anchor)];

    /// <inheritdoc/>
    public override JsonObject? Save() => new() { ["inside"] = inside };

    /// <inheritdoc/>
    public override void Load(JsonObject state)
    {
        ArgumentNullException.ThrowIfNull(state);
        inside = (long)state["inside"]!;
    }

    /// <inheritdoc/>
    public override void AfterStep(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var (stage, values) = (context.Stage, context.Model.Parameters.Values);
        using var _ = no_grad();
        if (stage.Step <= options.After.ToSteps(stage.Steps, context.TokensPerStep))
        {
            anchor.copy_(values);
            return;
        }
        inside++;
        if (inside < Math.Max(1, options.Every.ToSteps(stage.Steps, context.TokensPerStep)) && stage.Step < stage.Steps) return;
        // anchor + ε(θ − anchor), once in the anchor and copied, so that both are the same bits.
        anchor.lerp_(values, options.Rate);
        values.copy_(anchor);
        context.Model.ParametersChanged();
        inside = 0;
    }

    /// <inheritdoc/>
    public override void StageEnded(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        using var _ = no_grad();
        anchor.copy_(context.Model.Parameters.Values);
        inside = 0;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        anchor.Dispose();
        base.Dispose();
    }
}
