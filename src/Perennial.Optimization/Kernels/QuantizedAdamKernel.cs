using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Perennial.Optimization;

/// <summary>
/// Adam on moments kept as 8-bit codes: a block is decoded, updated in float32, its parameters are moved by the unrounded moments, and it
/// is encoded again under its new scale (Dettmers et al. 2022, section 2).
/// </summary>
internal readonly unsafe struct QuantizedAdamKernel(AdamStep step)
{
    private static readonly DynamicMap.Tables Signed = DynamicMap.Tables.Of(signed: true), Unsigned = DynamicMap.Tables.Of(signed: false);

    private readonly float beta1 = (float)step.Beta1, beta2 = (float)step.Beta2, scale = (float)step.GradientScale, epsilon = (float)step.Epsilon;
    private readonly float size = (float)(step.Rate / (1 - Math.Pow(step.Beta1, step.Step)));
    private readonly float correction = (float)(1 / Math.Sqrt(1 - Math.Pow(step.Beta2, step.Step)));

    /// <summary>Updates one block.</summary>
    /// <param name="p">Parameters.</param>
    /// <param name="g">Gradients.</param>
    /// <param name="m">Codes of the first moment.</param>
    /// <param name="v">Codes of the second moment.</param>
    /// <param name="count">Elements, at most <see cref="DynamicMap.Block"/>.</param>
    /// <param name="scale1">The block's largest first moment.</param>
    /// <param name="scale2">The block's largest second moment.</param>
    /// <param name="keep">What decay leaves of a parameter.</param>
    public void Apply(float* p, float* g, byte* m, byte* v, int count, ref float scale1, ref float scale2, float keep)
    {
        if (count == DynamicMap.Block)
        {
            Whole(p, g, m, v, ref scale1, ref scale2, keep);
            return;
        }
        // The last block of a tensor: the rest of it is zeros that nobody sees.
        float* values = stackalloc float[DynamicMap.Block], slopes = stackalloc float[DynamicMap.Block];
        byte* first = stackalloc byte[DynamicMap.Block], second = stackalloc byte[DynamicMap.Block];
        new Span<float>(values, DynamicMap.Block).Clear();
        new Span<float>(slopes, DynamicMap.Block).Clear();
        new Span<byte>(first, DynamicMap.Block).Fill(127);
        new Span<byte>(second, DynamicMap.Block).Clear();
        new Span<float>(p, count).CopyTo(new Span<float>(values, count));
        new Span<float>(g, count).CopyTo(new Span<float>(slopes, count));
        new Span<byte>(m, count).CopyTo(new Span<byte>(first, count));
        new Span<byte>(v, count).CopyTo(new Span<byte>(second, count));
        Whole(values, slopes, first, second, ref scale1, ref scale2, keep);
        new Span<float>(values, count).CopyTo(new Span<float>(p, count));
        new Span<byte>(first, count).CopyTo(new Span<byte>(m, count));
        new Span<byte>(second, count).CopyTo(new Span<byte>(v, count));
    }

    [SkipLocalsInit]
    private void Whole(float* p, float* g, byte* m, byte* v, ref float scale1, ref float scale2, float keep)
    {
        float* firsts = stackalloc float[DynamicMap.Block], seconds = stackalloc float[DynamicMap.Block];
        // What a code means is decayed already, and what the gradient is multiplied by is one factor: so every number is rounded once, not three times.
        var (signed, unsigned) = (Signed, Unsigned);
        var (first, second) = (signed.Times(scale1 * beta1), unsigned.Times(scale2 * beta2));
        var (rest1, rest2) = (Vector256.Create((1 - beta1) * scale), Vector256.Create((1 - beta2) * scale * scale));
        var (move, root, small, kept) = (Vector256.Create(-size), Vector256.Create(correction), Vector256.Create(epsilon), Vector256.Create(keep));
        Vector256<float> most1 = default, most2 = default;
        for (var i = 0; i < DynamicMap.Block; i += 8)
        {
            var gradient = Vector256.Load(g + i);
            var moment = Vector256.FusedMultiplyAdd(gradient, rest1, DynamicMap.Decode(Load(m + i), first, signed: true));
            var square = Vector256.FusedMultiplyAdd(gradient * gradient, rest2, DynamicMap.Decode(Load(v + i), second, signed: false));
            moment.Store(firsts + i);
            square.Store(seconds + i);
            most1 = Vector256.MaxNative(most1, Vector256.Abs(moment));
            most2 = Vector256.MaxNative(most2, square);
            var direction = moment / Vector256.FusedMultiplyAdd(Vector256.Sqrt(square), root, small);
            Vector256.FusedMultiplyAdd(direction, move, Vector256.Load(p + i) * kept).Store(p + i);
        }
        (scale1, scale2) = (Lanes.Largest(most1), Lanes.Largest(most2));
        var (inverse1, inverse2) = (Vector256.Create(scale1 > 0 ? 1 / scale1 : 0), Vector256.Create(scale2 > 0 ? 1 / scale2 : 0));
        Encode(firsts, inverse1, signed, signed: true, m);
        Encode(seconds, inverse2, unsigned, signed: false, v);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Encode(float* values, Vector256<float> inverse, in DynamicMap.Tables tables, bool signed, byte* codes)
    {
        for (var i = 0; i < DynamicMap.Block; i += 32)
            DynamicMap.Narrow(
                DynamicMap.Encode(Vector256.Load(values + i) * inverse, tables, signed), DynamicMap.Encode(Vector256.Load(values + i + 8) * inverse, tables, signed),
                DynamicMap.Encode(Vector256.Load(values + i + 16) * inverse, tables, signed), DynamicMap.Encode(Vector256.Load(values + i + 24) * inverse, tables, signed), signed).Store(codes + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Load(byte* codes)
    {
        if (Avx2.IsSupported) return Avx2.ConvertToVector256Int32(codes);
        var words = Vector128.WidenLower(Vector128.CreateScalar(*(ulong*)codes).AsByte());
        return Vector256.Create(Vector128.WidenLower(words), Vector128.WidenUpper(words)).AsInt32();
    }
}
