using System.ComponentModel.DataAnnotations;
using System.Runtime.Intrinsics;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="Sgd"/>.</summary>
public sealed record SgdOptions : IOptimizerOptions
{
    /// <summary>Peak learning rate.</summary>
    [Range(0.0, 1000)]
    public double Rate { get; init; } = 0.1;

    /// <summary>Momentum (heavy ball); 0 keeps no state.</summary>
    [Range(0.0, 0.9999)]
    public double Momentum { get; init; }

    /// <summary>Decoupled weight decay of matrices; norms and biases are spared.</summary>
    [Range(0.0, 100)]
    public double Decay { get; init; }

    /// <summary>Largest global gradient norm; 0 means no clipping.</summary>
    [Range(0.0, double.MaxValue)]
    public double Clip { get; init; }

    /// <inheritdoc/>
    public OptimizerCost Cost(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return new(Momentum > 0 ? layout.Length * sizeof(float) : 0, layout.Length * sizeof(float) * (Momentum > 0 ? 5 : 3));
    }
}

/// <summary>
/// Stochastic gradient descent, with momentum if asked for: b ← μ·b + g, p ← p·(1 − rate·decay) − rate·b.
/// Memory: 4 bytes a parameter with momentum, none without.
/// </summary>
[Component("sgd")]
public sealed class Sgd : IEntryOptimizer, IElementwiseOptimizer
{
    private readonly SgdOptions options;
    private readonly FlatParameters parameters;
    private readonly SlotOffsets offsets;
    private readonly Tensor? momentum;

    /// <summary>Momentum starts at zero.</summary>
    public Sgd(SgdOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters) = (options, parameters);
        offsets = new SlotOffsets(parameters.Layout.Entries);
        if (options.Momentum > 0) momentum = HugePages.Zeros(parameters.Layout.Length);
        Slots = momentum is null ? [] : [new("sgd.momentum", momentum)];
    }

    /// <inheritdoc/>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <inheritdoc/>
    public void Step(long step, double rate, double gradientScale) => StepEntries(parameters.Layout.Entries, step, rate, gradientScale);

    /// <inheritdoc/>
    public unsafe void StepEntries(IReadOnlyList<FlatEntry> entries, long step, double rate, double gradientScale)
    {
        var (scale, mu, size, keep) = ((float)gradientScale, (float)options.Momentum, (float)-rate, (float)(1 - rate * options.Decay));
        var values = (float*)TensorMemory.Address<float>(parameters.Values);
        var gradients = (float*)TensorMemory.Address<float>(parameters.Gradients);
        var buffer = momentum is null ? null : (float*)TensorMemory.Address<float>(momentum);
        UpdateRun.ForEachPiece(UpdateRun.Of(parameters, entries, offsets), piece => Apply(
            values + piece.Parameter, gradients + piece.Gradient, buffer is null ? null : buffer + piece.Slot, piece.Length, scale, mu, size, piece.Decays ? keep : 1));
    }

    /// <inheritdoc/>
    public void Dispose() => momentum?.Dispose();

    private static unsafe void Apply(float* p, float* g, float* b, long count, float scale, float mu, float size, float keep)
    {
        var i = 0L;
        for (; i <= count - 8; i += 8)
        {
            var direction = Vector256.Load(g + i) * scale;
            if (b is not null)
            {
                direction = Vector256.FusedMultiplyAdd(Vector256.Load(b + i), Vector256.Create(mu), direction);
                direction.Store(b + i);
            }
            Vector256.FusedMultiplyAdd(direction, Vector256.Create(size), Vector256.Load(p + i) * keep).Store(p + i);
        }
        for (; i < count; i++)
        {
            var direction = g[i] * scale;
            if (b is not null) direction = b[i] = MathF.FusedMultiplyAdd(b[i], mu, direction);
            p[i] = MathF.FusedMultiplyAdd(direction, size, p[i] * keep);
        }
    }
}
