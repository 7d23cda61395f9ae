using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Perennial.Optimization;

/// <summary>The instructions of <see cref="FixedProduct"/>; where the processor has others, the same values by general ones.</summary>
internal static class FixedVectors
{
    /// <summary>sum + x₂ᵢ·y₂ᵢ + x₂ᵢ₊₁·y₂ᵢ₊₁.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> MultiplyAdd(Vector256<short> x, Vector256<short> y, Vector256<int> sum) =>
        Avx2.IsSupported ? Avx2.Add(sum, Avx2.MultiplyAddAdjacent(x, y)) : General.MultiplyAdd(x, y, sum);

    /// <summary>Elements 0 … 3 and 8 … 11 of both, in alternation.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<short> UnpackLow(Vector256<short> even, Vector256<short> odd) => Avx2.IsSupported ? Avx2.UnpackLow(even, odd) : General.UnpackLow(even, odd);

    /// <summary>Elements 4 … 7 and 12 … 15 of both, in alternation.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<short> UnpackHigh(Vector256<short> even, Vector256<short> odd) => Avx2.IsSupported ? Avx2.UnpackHigh(even, odd) : General.UnpackHigh(even, odd);

    /// <summary>Sixteen integers, in the order of a panel's sums, as one vector in the order of columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<short> Pack(Vector256<int> first, Vector256<int> second) => Avx2.IsSupported ? Avx2.PackSignedSaturate(first, second) : General.Pack(first, second);

    /// <summary>Sixteen integers in the order of columns, as a panel's sums lie.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<int> First, Vector256<int> Second) Unpack(Vector256<short> values) =>
        (UnpackLow(values, values).AsInt32() >> 16, UnpackHigh(values, values).AsInt32() >> 16);

    /// <summary>To nearest, ties to even; the caller minds the range.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Round(Vector256<float> values) => Avx.IsSupported ? Avx.ConvertToVector256Int32(values) : General.Round(values);

    /// <summary>The same on any processor.</summary>
    internal static class General
    {
        public static Vector256<int> MultiplyAdd(Vector256<short> x, Vector256<short> y, Vector256<int> sum) => sum + (Even(x) * Even(y)) + (Odd(x) * Odd(y));

        public static Vector256<short> UnpackLow(Vector256<short> even, Vector256<short> odd) =>
            Vector256.Create(Alternate(even.GetLower(), odd.GetLower()).Low, Alternate(even.GetUpper(), odd.GetUpper()).Low);

        public static Vector256<short> UnpackHigh(Vector256<short> even, Vector256<short> odd) =>
            Vector256.Create(Alternate(even.GetLower(), odd.GetLower()).High, Alternate(even.GetUpper(), odd.GetUpper()).High);

        public static Vector256<short> Pack(Vector256<int> first, Vector256<int> second) => Vector256.Create(
            Vector128.NarrowWithSaturation(first.GetLower(), second.GetLower()), Vector128.NarrowWithSaturation(first.GetUpper(), second.GetUpper()));

        public static Vector256<int> Round(Vector256<float> values) => Vector256.ConvertToInt32(Vector256.Round(values));

        private static Vector256<int> Even(Vector256<short> x) => x.AsInt32() << 16 >> 16;

        private static Vector256<int> Odd(Vector256<short> x) => x.AsInt32() >> 16;

        private static (Vector128<short> Low, Vector128<short> High) Alternate(Vector128<short> even, Vector128<short> odd)
        {
            var (evenLow, evenHigh) = Vector128.Widen(even.AsUInt16());
            var (oddLow, oddHigh) = Vector128.Widen(odd.AsUInt16());
            return ((evenLow | (oddLow << 16)).AsInt16(), (evenHigh | (oddHigh << 16)).AsInt16());
        }
    }
}
