using System.ComponentModel.DataAnnotations;
using System.Runtime.Intrinsics;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="ScheduleFreeAdamW"/>.</summary>
public sealed record ScheduleFreeAdamWOptions : IOptimizerOptions, IValidatedOptions
{
    /// <summary>Peak learning rate; pair it with <c>schedule: { kind: constant, warmup: 5% }</c>.</summary>
    [Range(0.0, 100)]
    public double Rate { get; init; } = 2.5e-3;

    /// <summary>Weight decay of matrices, at the point where gradients are taken; norms and biases are spared.</summary>
    [Range(0.0, 100)]
    public double Decay { get; init; } = 0.1;

    /// <summary>β₁ interpolates between the average and the fast sequence, β₂ is the second moment's decay rate.</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.95];

    /// <summary>Added to the root of the second moment.</summary>
    [Range(0.0, 1)]
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>A step weighs in the average as (its largest rate so far) to this power, so that warm-up counts little.</summary>
    [Range(0.0, 10)]
    public double WeightPower { get; init; } = 2;

    /// <summary>Largest global gradient norm; 0 means no clipping.</summary>
    [Range(0.0, double.MaxValue)]
    public double Clip { get; init; } = 1.0;

    /// <inheritdoc/>
    public OptimizerCost Cost(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return new(AdamMoments.Bytes(layout.Entries) + 3 * sizeof(double), AdamMoments.MovedBytes(layout.Entries));
    }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        foreach (var problem in BetaRule.Problems(Betas)) yield return problem;
        if (Betas.Count > 0 && Betas[0] == 0) yield return ("betas", "the first must be above 0: the averaged weights could not be told from the trained ones");
    }
}

/// <summary>
/// AdamW without a schedule (Defazio et al. 2024, "The road less scheduled", algorithm 1). Gradients are taken at y = (1 − β₁)z + β₁x,
/// which is what the parameters hold; z ← z − γ(g / √v̂ + decay·y); x, the weighted average of z, is what to evaluate and to ship:
/// x = y + (1 − 1/β₁)(z − y). Memory: 8 bytes a parameter (z and the second moment), and 24 bytes.
/// </summary>
[Component("schedule-free-adamw")]
public sealed class ScheduleFreeAdamW : IEntryOptimizer, IElementwiseOptimizer
{
    private readonly ScheduleFreeAdamWOptions options;
    private readonly FlatParameters parameters;
    private readonly SlotOffsets offsets;
    private readonly Tensor fast, second, counters;

    /// <summary>The fast sequence starts where the parameters are at the first step.</summary>
    public ScheduleFreeAdamW(ScheduleFreeAdamWOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters) = (options, parameters);
        offsets = new SlotOffsets(parameters.Layout.Entries);
        (fast, second) = (HugePages.Zeros(offsets.Length), HugePages.Zeros(offsets.Length));
        counters = HugePages.Zeros(ScalarType.Float64, 3);
        Slots =
        [
            new("schedule-free.fast", fast), new("schedule-free.second-moment", second),
            new("schedule-free.counters", counters) { Index = SlotIndex.Whole([("last step, largest rate, sum of weights", 0, 0, 3)]) },
        ];
    }

    /// <inheritdoc/>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <inheritdoc/>
    public DerivedWeights Derived => new("schedule-free", (values, slots, destination) =>
    {
        using var _ = no_grad();
        destination.copy_(values);
        if (TensorMemory.Span<double>(Slot("counters"))[0] > 0) destination.lerp_(Slot("fast"), 1 - 1 / options.Betas[0]);

        Tensor Slot(string name) => slots.Single(slot => slot.Name == "schedule-free." + name).Values;
    });

    /// <inheritdoc/>
    public void Step(long step, double rate, double gradientScale) => StepEntries(parameters.Layout.Entries, step, rate, gradientScale);

    /// <inheritdoc/>
    public unsafe void StepEntries(IReadOnlyList<FlatEntry> entries, long step, double rate, double gradientScale)
    {
        var share = Share(step, rate);
        var (beta1, beta2) = (options.Betas[0], options.Betas[1]);
        var kernel = new Update
        {
            Scale = (float)gradientScale,
            Beta2 = (float)beta2,
            Correction = (float)(1 / Math.Sqrt(1 - Math.Pow(beta2, step))),
            Epsilon = (float)options.Epsilon,
            Share = (float)share,
            Slow = (float)(rate * (beta1 * (1 - share) - 1)),
            Fast = (float)-rate,
        };
        var decay = (float)options.Decay;
        var values = (float*)TensorMemory.Address<float>(parameters.Values);
        var gradients = (float*)TensorMemory.Address<float>(parameters.Gradients);
        var (z, v) = (TensorMemory.Address<float>(fast), TensorMemory.Address<float>(second));
        UpdateRun.ForEachPiece(UpdateRun.Of(parameters, entries, offsets), piece => kernel.Apply(
            values + piece.Parameter, gradients + piece.Gradient, (float*)z + piece.Slot, (float*)v + piece.Slot, piece.Length, piece.Decays ? decay : 0));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        fast.Dispose();
        second.Dispose();
        counters.Dispose();
    }

    /// <summary>The new step's share of the average; the counters move once a step.</summary>
    private double Share(long step, double rate)
    {
        var counted = TensorMemory.Span<double>(counters);
        if (counted[0] == 0)
        {
            using var _ = no_grad();
            fast.copy_(parameters.Values);
        }
        if (counted[0] < step)
        {
            counted[0] = step;
            counted[1] = Math.Max(counted[1], rate);
            counted[2] += Math.Pow(counted[1], options.WeightPower);
        }
        return counted[2] > 0 ? Math.Pow(counted[1], options.WeightPower) / counted[2] : 0;
    }

    private readonly struct Update
    {
        public required float Scale { get; init; }

        public required float Beta2 { get; init; }

        public required float Correction { get; init; }

        public required float Epsilon { get; init; }

        public required float Share { get; init; }

        public required float Slow { get; init; }

        public required float Fast { get; init; }

        public unsafe void Apply(float* y, float* g, float* z, float* v, long count, float decay)
        {
            var i = 0L;
            for (; i <= count - 8; i += 8)
            {
                var gradient = Vector256.Load(g + i) * Scale;
                var (slow, quick) = (Vector256.Load(y + i), Vector256.Load(z + i));
                var square = Vector256.FusedMultiplyAdd(Vector256.Load(v + i), Vector256.Create(Beta2), gradient * gradient * (1 - Beta2));
                square.Store(v + i);
                var direction = gradient / Vector256.FusedMultiplyAdd(Vector256.Sqrt(square), Vector256.Create(Correction), Vector256.Create(Epsilon));
                direction = Vector256.FusedMultiplyAdd(slow, Vector256.Create(decay), direction);
                var mixed = Vector256.FusedMultiplyAdd(quick - slow, Vector256.Create(Share), slow);
                Vector256.FusedMultiplyAdd(direction, Vector256.Create(Slow), mixed).Store(y + i);
                Vector256.FusedMultiplyAdd(direction, Vector256.Create(Fast), quick).Store(z + i);
            }
            for (; i < count; i++)
            {
                var gradient = g[i] * Scale;
                v[i] = MathF.FusedMultiplyAdd(v[i], Beta2, gradient * gradient * (1 - Beta2));
                var direction = gradient / MathF.FusedMultiplyAdd(MathF.Sqrt(v[i]), Correction, Epsilon);
                direction = MathF.FusedMultiplyAdd(y[i], decay, direction);
                y[i] = MathF.FusedMultiplyAdd(direction, Slow, MathF.FusedMultiplyAdd(z[i] - y[i], Share, y[i]));
                z[i] = MathF.FusedMultiplyAdd(direction, Fast, z[i]);
            }
        }
    }
}
