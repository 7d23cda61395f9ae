using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Perennial.Tensors;

/// <summary>Functions of eight float32 at a time that kernels need.</summary>
public static class VectorMath
{
    /// <summary>
    /// eˣ to within two units in the last place (the polynomial of Cephes' <c>expf</c>); exactly 0 below −87.3, so that a
    /// masked score of −∞ weighs nothing; the largest finite power above 88.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Exp(Vector256<float> x)
    {
        const float lowest = -87.3f, highest = 88.3f, magic = 12582912f; // 1.5 · 2²³: adding it rounds to a whole number
        var clamped = Vector256.MinNative(Vector256.MaxNative(x, Vector256.Create(lowest)), Vector256.Create(highest));
        var whole = Vector256.FusedMultiplyAdd(clamped, Vector256.Create(1.44269504f), Vector256.Create(magic)) - Vector256.Create(magic);
        var rest = Vector256.FusedMultiplyAdd(whole, Vector256.Create(-0.693359375f), clamped);
        rest = Vector256.FusedMultiplyAdd(whole, Vector256.Create(2.12194440e-4f), rest);
        var p = Vector256.Create(1.9875691500e-4f);
        p = Vector256.FusedMultiplyAdd(p, rest, Vector256.Create(1.3981999507e-3f));
        p = Vector256.FusedMultiplyAdd(p, rest, Vector256.Create(8.3334519073e-3f));
        p = Vector256.FusedMultiplyAdd(p, rest, Vector256.Create(4.1665795894e-2f));
        p = Vector256.FusedMultiplyAdd(p, rest, Vector256.Create(1.6666665459e-1f));
        p = Vector256.FusedMultiplyAdd(p, rest, Vector256.Create(5.0000001201e-1f));
        p = Vector256.FusedMultiplyAdd(p, rest * rest, rest) + Vector256<float>.One;
        var power = (Vector256.ConvertToInt32Native(whole) + Vector256.Create(127)) << 23;
        // A NaN survives these on no platform alike (and those that it survives cost nine instructions): it is put back at the end.
        var result = Vector256.AndNot(p * power.AsSingle(), Vector256.LessThan(x, Vector256.Create(lowest)));
        return Vector256.ConditionalSelect(Vector256.Equals(x, x), result, x);
    }

    /// <summary>1 / (1 + e⁻ˣ).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Sigmoid(Vector256<float> x) => Vector256<float>.One / (Vector256<float>.One + Exp(-x));

    /// <summary>tanh x = 2·sigmoid(2x) − 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Tanh(Vector256<float> x) =>
        Vector256.FusedMultiplyAdd(Vector256.Create(2f), Sigmoid(x + x), Vector256.Create(-1f));
}
