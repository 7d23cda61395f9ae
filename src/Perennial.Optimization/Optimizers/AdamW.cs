using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="AdamW"/>.</summary>
public sealed record AdamWOptions : IOptimizerOptions, IValidatedOptions
{
    /// <summary>Peak learning rate.</summary>
    [Range(0.0, 100)]
    public double Rate { get; init; } = 1e-3;

    /// <summary>Decoupled weight decay of matrices; norms and biases are spared.</summary>
    [Range(0.0, 100)]
    public double Decay { get; init; } = 0.1;

    /// <summary>Decay rates of the first and second moment.</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.95];

    /// <summary>Added to the root of the second moment.</summary>
    [Range(0.0, 1)]
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Largest global gradient norm; 0 means no clipping.</summary>
    [Range(0.0, double.MaxValue)]
    public double Clip { get; init; } = 1.0;

    /// <inheritdoc/>
    public OptimizerCost Cost(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return new(AdamMoments.Bytes(layout.Entries), AdamMoments.MovedBytes(layout.Entries));
    }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems() => BetaRule.Problems(Betas);
}

/// <summary>
/// Adam with decoupled weight decay (Loshchilov and Hutter 2019), one vectorized pass over the flat buffers.
/// Memory: 8 bytes a parameter (two float32 moments).
/// </summary>
[Component("adamw")]
public sealed class AdamW : IEntryOptimizer, IElementwiseOptimizer
{
    private readonly AdamWOptions options;
    private readonly FlatParameters parameters;
    private readonly AdamMoments moments;

    /// <summary>Moments start at zero.</summary>
    public AdamW(AdamWOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters) = (options, parameters);
        moments = new AdamMoments("adamw", parameters, parameters.Layout.Entries);
    }

    /// <inheritdoc/>
    public IReadOnlyList<StateSlot> Slots => moments.Slots;

    /// <inheritdoc/>
    public void Step(long step, double rate, double gradientScale) => StepEntries(parameters.Layout.Entries, step, rate, gradientScale);

    /// <inheritdoc/>
    public void StepEntries(IReadOnlyList<FlatEntry> entries, long step, double rate, double gradientScale) =>
        moments.Step(entries, new AdamStep(step, rate, gradientScale, options.Betas[0], options.Betas[1], options.Epsilon, options.Decay));

    /// <inheritdoc/>
    public void Dispose() => moments.Dispose();
}
