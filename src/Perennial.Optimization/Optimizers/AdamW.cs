using System.ComponentModel.DataAnnotations;
using System.Runtime.Intrinsics;
using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

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
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Betas.Count != 2 || Betas.Any(beta => beta is not (>= 0 and < 1)))
            yield return ("betas", "two numbers are needed, each at least 0 and below 1, such as [0.9, 0.95]");
    }
}

/// <summary>Adam with decoupled weight decay (Loshchilov and Hutter 2019), one vectorized pass over the flat buffers.</summary>
[Component("adamw")]
public sealed class AdamW : IOptimizer
{
    private readonly AdamWOptions options;
    private readonly FlatParameters parameters;
    private readonly IReadOnlyList<DecayRun> runs;
    private readonly Tensor first, second;

    /// <summary>Moments start at zero.</summary>
    public AdamW(AdamWOptions options, FlatParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(parameters);
        (this.options, this.parameters) = (options, parameters);
        runs = DecayRun.Of(parameters.Layout);
        first = HugePages.Zeros(parameters.Layout.Length);
        second = HugePages.Zeros(parameters.Layout.Length);
        Slots = [new("adamw.first-moment", first), new("adamw.second-moment", second)];
    }

    /// <inheritdoc/>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <inheritdoc/>
    public unsafe void Step(long step, double rate, double gradientScale)
    {
        var (beta1, beta2) = (options.Betas[0], options.Betas[1]);
        var update = new Update
        {
            Beta1 = (float)beta1,
            Beta2 = (float)beta2,
            GradientScale = (float)gradientScale,
            // p ← p·(1 − rate·decay) − rate / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
            StepSize = (float)(rate / (1 - Math.Pow(beta1, step))),
            RootCorrection = (float)(1 / Math.Sqrt(1 - Math.Pow(beta2, step))),
            Epsilon = (float)options.Epsilon,
        };
        var keep = (float)(1 - rate * options.Decay);
        var values = (float*)TensorMemory.Address<float>(parameters.Values);
        var gradients = (float*)TensorMemory.Address<float>(parameters.Gradients);
        var firsts = (float*)TensorMemory.Address<float>(first);
        var seconds = (float*)TensorMemory.Address<float>(second);
        DecayRun.ForEachPiece(runs, piece => update.Apply(
            values + piece.Offset, gradients + piece.Offset, firsts + piece.Offset, seconds + piece.Offset, piece.Length, piece.Decays ? keep : 1));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        first.Dispose();
        second.Dispose();
    }

    private readonly struct Update
    {
        public required float Beta1 { get; init; }
        public required float Beta2 { get; init; }
        public required float GradientScale { get; init; }
        public required float StepSize { get; init; }
        public required float RootCorrection { get; init; }
        public required float Epsilon { get; init; }

        public unsafe void Apply(float* p, float* g, float* m, float* v, long count, float keep)
        {
            var i = 0L;
            var (beta1, beta2, scale) = (Vector256.Create(Beta1), Vector256.Create(Beta2), Vector256.Create(GradientScale));
            var (rest1, rest2) = (Vector256.Create(1 - Beta1), Vector256.Create(1 - Beta2));
            var (size, root, epsilon, kept) = (Vector256.Create(-StepSize), Vector256.Create(RootCorrection), Vector256.Create(Epsilon), Vector256.Create(keep));
            for (; i <= count - 8; i += 8)
            {
                var gradient = Vector256.Load(g + i) * scale;
                var moment = Vector256.FusedMultiplyAdd(Vector256.Load(m + i), beta1, gradient * rest1);
                var square = Vector256.FusedMultiplyAdd(Vector256.Load(v + i), beta2, gradient * gradient * rest2);
                moment.Store(m + i);
                square.Store(v + i);
                var direction = moment / Vector256.FusedMultiplyAdd(Vector256.Sqrt(square), root, epsilon);
                Vector256.FusedMultiplyAdd(direction, size, Vector256.Load(p + i) * kept).Store(p + i);
            }
            for (; i < count; i++)
            {
                var gradient = g[i] * GradientScale;
                m[i] = MathF.FusedMultiplyAdd(m[i], Beta1, gradient * (1 - Beta1));
                v[i] = MathF.FusedMultiplyAdd(v[i], Beta2, gradient * gradient * (1 - Beta2));
                var direction = m[i] / MathF.FusedMultiplyAdd(MathF.Sqrt(v[i]), RootCorrection, Epsilon);
                p[i] = MathF.FusedMultiplyAdd(direction, -StepSize, p[i] * keep);
            }
        }
    }
}
