using Perennial.Core;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="AdamW"/>.</summary>
public sealed record AdamWOptions : AdamOptions
{
    /// <inheritdoc/>
    public override OptimizerCost Cost(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return new(AdamMoments.Bytes(layout.Entries), AdamMoments.MovedBytes(layout.Entries));
    }
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
        moments.Step(entries, options.Adam(step, rate, gradientScale));

    /// <inheritdoc/>
    public void Dispose() => moments.Dispose();
}
