using System.ComponentModel.DataAnnotations;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Tensors;
using Perennial.Training.Checkpoints;
using Perennial.Training.Loop;
using static TorchSharp.torch;

namespace Perennial.Training.Practices;

/// <summary>Options of <see cref="AveragePractice"/>.</summary>
public sealed record AverageOptions
{
    /// <summary>How many snapshots are averaged.</summary>
    [Range(1, 1000)]
    public int Last { get; init; } = 6;

    /// <summary>How often the weights are taken.</summary>
    public RunLength Every { get; init; } = new(0.01, RunUnit.Fraction);

    /// <summary>How snapshots are weighted.</summary>
    public AverageRule Weights { get; init; } = AverageRule.Uniform;

    /// <summary>α of the exponential rules (ignored by others).</summary>
    [Range(0.0, 1.0)]
    public double Alpha { get; init; } = 0.2;
}

/// <summary>Averages the weights of the last snapshots in float32, scores the average beside the raw weights and writes it into checkpoints (Luo et al. 2025).</summary>
[Component("average")]
public sealed class AveragePractice : Practice, IPartwisePractice
{
    private readonly AverageOptions options;
    private readonly long every;
    private readonly Tensor[] ring;
    private readonly Tensor mean;
    private long taken;

    /// <summary>The ring starts empty.</summary>
    public AveragePractice(AverageOptions options, FlatParameters parameters, PracticeSetup setup)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(setup);
        this.options = options;
        every = Math.Max(1, options.Every.ToSteps(setup.TotalSteps, setup.TokensPerStep));
        using var scope = NewDisposeScope();
        ring = [.. Enumerable.Range(0, options.Last).Select(_ => zeros_like(parameters.Values).DetachFromDisposeScope())];
        mean = parameters.Values.clone().DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public override IReadOnlyList<StateSlot> Slots => [.. ring.Select((values, i) => new StateSlot($"average.{i}", values)), new("average.mean", mean)];

    /// <inheritdoc/>
    public override IReadOnlyList<StateSlot> Exports => [new("average", mean)];

    /// <inheritdoc/>
    public override JsonObject? Save() => new() { ["taken"] = taken };

    /// <inheritdoc/>
    public override void Load(JsonObject state)
    {
        ArgumentNullException.ThrowIfNull(state);
        taken = (long)state["taken"]!;
    }

    /// <inheritdoc/>
    public override void AfterStep(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        // Counted back from the end of the stage, so that the last snapshot is the final weights.
        if ((context.Stage.Steps - context.Stage.Step) % every != 0) return;
        using var _ = no_grad();
        ring[taken % ring.Length].copy_(context.Model.Parameters.Values);
        taken++;
        var weights = AverageWeights.Of(options.Weights, (int)Math.Min(taken, ring.Length), options.Alpha);
        mean.zero_();
        for (var i = 0; i < weights.Count; i++) mean.add_(ring[(taken - 1 - i) % ring.Length], alpha: weights[i]);
    }

    /// <inheritdoc/>
    public override void AtInterval(PracticeContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (taken > 0) WeightSwap.With(context.Model, mean, () => context.Services.Evaluate("average"));
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        foreach (var values in ring) values.Dispose();
        mean.Dispose();
        base.Dispose();
    }
}
