using System.ComponentModel.DataAnnotations;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>Element type of a slot.</summary>
public enum SlotPrecision
{
    /// <summary>4 bytes.</summary>
    Float32,

    /// <summary>2 bytes, rounded to nearest.</summary>
    Bfloat16,
}

/// <summary>Options of <see cref="Lion"/>.</summary>
public sealed record LionOptions : IOptimizerOptions, IValidatedOptions
{
    /// <summary>Peak learning rate; a third to a tenth of AdamW's.</summary>
    [Range(0.0, 100)]
    public double Rate { get; init; } = 2e-4;

    /// <summary>Decoupled weight decay of matrices (3 to 10 times AdamW's, as the rate is smaller); norms and biases are spared.</summary>
    [Range(0.0, 100)]
    public double Decay { get; init; } = 0.5;

    /// <summary>β₁ interpolates for the sign, β₂ for the momentum.</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.99];

    /// <summary>How the momentum is kept.</summary>
    public SlotPrecision Momentum { get; init; } = SlotPrecision.Float32;

    /// <summary>Largest global gradient norm; 0 means no clipping.</summary>
    [Range(0.0, double.MaxValue)]
    public double Clip { get; init; } = 1.0;

    /// <inheritdoc/>
    public OptimizerCost Cost(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        var bytes = layout.Length * (Momentum == SlotPrecision.Bfloat16 ? sizeof(ushort) : sizeof(float));
        return new(bytes, layout.Length * 3 * sizeof(float) + 2 * bytes);
    }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems() => BetaRule.Problems(Betas);
}

/// <summary>
/// The sign of an interpolated momentum (Chen et al. 2023, "Symbolic discovery of optimization algorithms", algorithm 2):
/// c = β₁m + (1 − β₁)g, p ← p·(1 − rate·decay) − rate·sign(c), m ← β₂m + (1 − β₂)g; sign(0) is 0.
/// Memory: 4 bytes a parameter (2 with a bfloat16 momentum).
/// </summary>
[Component("lion")]
public sealed class Lion : IEntryOptimizer, IElementwiseOptimizer
{
    private readonly LionOptions options;
    private readonly FlatParameters parameters;
    private readonly SlotOffsets offsets;
    private readonly Tensor momentum;

    /// <summary>Momentum starts at zero.</summary>
    public Lion(LionOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters) = (options, parameters);
        offsets = new SlotOffsets(parameters.Layout.Entries);
        momentum = HugePages.Zeros(options.Momentum == SlotPrecision.Bfloat16 ? ScalarType.BFloat16 : ScalarType.Float32, parameters.Layout.Length);
        Slots = [new("lion.momentum", momentum)];
    }

    /// <inheritdoc/>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <inheritdoc/>
    public void Step(long step, double rate, double gradientScale) => StepEntries(parameters.Layout.Entries, step, rate, gradientScale);

    /// <inheritdoc/>
    public void StepEntries(IReadOnlyList<FlatEntry> entries, long step, double rate, double gradientScale)
    {
        if (options.Momentum == SlotPrecision.Bfloat16) Update<Bfloat16Storage>(entries, rate, gradientScale);
        else Update<Float32Storage>(entries, rate, gradientScale);
    }

    /// <inheritdoc/>
    public void Dispose() => momentum.Dispose();

    private unsafe void Update<T>(IReadOnlyList<FlatEntry> entries, double rate, double gradientScale)
        where T : struct, IStorage
    {
        var (keep, move, scale) = ((float)(1 - rate * options.Decay), (float)-rate, (float)gradientScale);
        var values = (float*)TensorMemory.Address<float>(parameters.Values);
        var gradients = (float*)TensorMemory.Address<float>(parameters.Gradients);
        var kept = (byte*)TensorMemory.Pointer(momentum);
        UpdateRun.ForEachPiece(UpdateRun.Of(parameters, entries, offsets), piece => Apply<T>(
            values + piece.Parameter, gradients + piece.Gradient, kept + piece.Slot * T.Size, piece.Length, scale, move, piece.Decays ? keep : 1));
    }

    private unsafe void Apply<T>(float* p, float* g, byte* m, long count, float scale, float move, float keep)
        where T : struct, IStorage
    {
        var (beta1, beta2) = (Vector256.Create((float)options.Betas[0]), Vector256.Create((float)options.Betas[1]));
        var (rest1, rest2) = (Vector256.Create((float)(1 - options.Betas[0])), Vector256.Create((float)(1 - options.Betas[1])));
        var (up, down, factor, kept) = (Vector256.Create(move), Vector256.Create(-move), Vector256.Create(scale), Vector256.Create(keep));
        var i = 0L;
        for (; i <= count - 8; i += 8) Eight(p + i, g + i, m + i * T.Size);
        if (i == count) return;
        // The tail through buffers: a vector must not touch memory beyond the slot.
        float* tail = stackalloc float[24];
        var left = (int)(count - i);
        var moments = (byte*)(tail + 16);
        new Span<float>(tail, 24).Clear();
        Buffer.MemoryCopy(p + i, tail, 32, left * sizeof(float));
        Buffer.MemoryCopy(g + i, tail + 8, 32, left * sizeof(float));
        Buffer.MemoryCopy(m + i * T.Size, moments, 32, left * T.Size);
        Eight(tail, tail + 8, moments);
        Buffer.MemoryCopy(tail, p + i, left * sizeof(float), left * sizeof(float));
        Buffer.MemoryCopy(moments, m + i * T.Size, left * T.Size, left * T.Size);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        void Eight(float* parameter, float* slope, byte* moment)
        {
            var (gradient, old) = (Vector256.Load(slope) * factor, T.Load(moment, 0));
            var mixed = Vector256.FusedMultiplyAdd(old, beta1, gradient * rest1);
            T.Store(moment, 0, Vector256.FusedMultiplyAdd(old, beta2, gradient * rest2));
            var step = Vector256.ConditionalSelect(Vector256.GreaterThan(mixed, Vector256<float>.Zero), up, Vector256.ConditionalSelect(Vector256.LessThan(mixed, Vector256<float>.Zero), down, Vector256<float>.Zero));
            Vector256.FusedMultiplyAdd(Vector256.Load(parameter), kept, step).Store(parameter);
        }
    }
}
