using System.Runtime.Intrinsics;

namespace Perennial.Optimization;

/// <summary>
/// Adam's arithmetic (Kingma and Ba 2015, algorithm 1; decay as in Loshchilov and Hutter 2019): m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g²,
/// p ← p·keep − rate / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε), in float32.
/// </summary>
internal readonly struct AdamKernel(AdamStep step)
{
    private readonly float beta1 = (float)step.Beta1, beta2 = (float)step.Beta2, scale = (float)step.GradientScale, epsilon = (float)step.Epsilon;
    private readonly float size = (float)(step.Rate / (1 - Math.Pow(step.Beta1, step.Step)));
    private readonly float correction = (float)(1 / Math.Sqrt(1 - Math.Pow(step.Beta2, step.Step)));

    /// <summary>Moments and parameters of <paramref name="count"/> elements.</summary>
    public unsafe void Apply(float* p, float* g, float* m, float* v, long count, float keep)
    {
        var i = 0L;
        var (decay1, decay2, factor) = (Vector256.Create(beta1), Vector256.Create(beta2), Vector256.Create(scale));
        var (rest1, rest2) = (Vector256.Create(1 - beta1), Vector256.Create(1 - beta2));
        var (move, root, small, kept) = (Vector256.Create(-size), Vector256.Create(correction), Vector256.Create(epsilon), Vector256.Create(keep));
        for (; i <= count - 8; i += 8)
        {
            var gradient = Vector256.Load(g + i) * factor;
            var moment = Vector256.FusedMultiplyAdd(Vector256.Load(m + i), decay1, gradient * rest1);
            var square = Vector256.FusedMultiplyAdd(Vector256.Load(v + i), decay2, gradient * gradient * rest2);
            moment.Store(m + i);
            square.Store(v + i);
            var direction = moment / Vector256.FusedMultiplyAdd(Vector256.Sqrt(square), root, small);
            Vector256.FusedMultiplyAdd(direction, move, Vector256.Load(p + i) * kept).Store(p + i);
        }
        for (; i < count; i++)
        {
            var direction = Direct(g[i], m + i, v + i);
            p[i] = MathF.FusedMultiplyAdd(direction, -size, p[i] * keep);
        }
    }

    /// <summary>Moments only; <paramref name="g"/> becomes m̂ / (√v̂ + ε), the direction before the rate.</summary>
    public unsafe void Normalize(float* g, float* m, float* v, long count)
    {
        var i = 0L;
        var (decay1, decay2, factor) = (Vector256.Create(beta1), Vector256.Create(beta2), Vector256.Create(scale));
        var (rest1, rest2) = (Vector256.Create(1 - beta1), Vector256.Create(1 - beta2));
        var unbias = (float)(1 / (1 - Math.Pow(step.Beta1, step.Step)));
        var (root, small, unbiased) = (Vector256.Create(correction), Vector256.Create(epsilon), Vector256.Create(unbias));
        for (; i <= count - 8; i += 8)
        {
            var gradient = Vector256.Load(g + i) * factor;
            var moment = Vector256.FusedMultiplyAdd(Vector256.Load(m + i), decay1, gradient * rest1);
            var square = Vector256.FusedMultiplyAdd(Vector256.Load(v + i), decay2, gradient * gradient * rest2);
            moment.Store(m + i);
            square.Store(v + i);
            (moment * unbiased / Vector256.FusedMultiplyAdd(Vector256.Sqrt(square), root, small)).Store(g + i);
        }
        for (; i < count; i++) g[i] = Direct(g[i], m + i, v + i) * unbias;
    }

    /// <summary>Second moment of unscaled <paramref name="g"/> only; <paramref name="m"/> becomes m / (1 − β₁ᵗ) / (√v̂ + ε).</summary>
    public unsafe void Divide(float* g, float* m, float* v, long count)
    {
        var unbias = (float)(1 / (1 - Math.Pow(step.Beta1, step.Step)));
        for (var i = 0L; i < count; i++)
        {
            v[i] = MathF.FusedMultiplyAdd(v[i], beta2, g[i] * g[i] * (1 - beta2));
            m[i] = m[i] * unbias / MathF.FusedMultiplyAdd(MathF.Sqrt(v[i]), correction, epsilon);
        }
    }

    private unsafe float Direct(float g, float* m, float* v)
    {
        var gradient = g * scale;
        *m = MathF.FusedMultiplyAdd(*m, beta1, gradient * (1 - beta1));
        *v = MathF.FusedMultiplyAdd(*v, beta2, gradient * gradient * (1 - beta2));
        return *m / MathF.FusedMultiplyAdd(MathF.Sqrt(*v), correction, epsilon);
    }
}
