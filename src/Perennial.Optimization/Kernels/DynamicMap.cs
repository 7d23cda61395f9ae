using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Perennial.Optimization;

/// <summary>
/// The dynamic 8-bit map of block-wise quantized optimizers (Dettmers et al. 2022, "8-bit optimizers via block-wise quantization",
/// section 2 and appendix; the published table): magnitudes fall into seven decades 10⁻⁷ … 1, decade i is cut into 2ⁱ equal bins (2ⁱ⁺¹
/// without a sign), a code means the middle of its bin; 0 and 1 have codes of their own. Codes are numbered in order of value:
/// signed 0 … 126 negative, 127 zero, 128 … 254 positive, 255 one; unsigned 0 zero, 1 … 254, 255 one. A number is given the nearest code's value.
/// </summary>
internal static class DynamicMap
{
    /// <summary>Numbers of a block that share a scale.</summary>
    public const int Block = 256;

    private const int Decades = 7;

    /// <summary>The 256 values of the map, in order.</summary>
    public static float[] Values(bool signed)
    {
        var positive = new List<double>();
        for (var decade = 0; decade < Decades; decade++)
        {
            var bins = 1 << (signed ? decade : decade + 1);
            for (var bin = 0; bin < bins; bin++) positive.Add(Math.Pow(10, decade - Decades + 1) * (0.1 + 0.9 * (bin + 0.5) / bins));
        }
        IEnumerable<double> all = signed ? positive.Select(value => -value).Reverse().Append(0).Concat(positive).Append(1) : positive.Prepend(0).Append(1);
        return [.. all.Select(value => (float)value)];
    }

    /// <summary>
    /// Tables that the vectorized conversions look into. Codes of one sign have a rank that is linear in the value within a decade and has that
    /// decade as its exponent: 2ⁱ … 2ⁱ⁺¹ − 1 signed (1 has rank 128), 2ⁱ⁺¹ … 2ⁱ⁺² − 1 without a sign (zero has 1, 1 has 256). With zero
    /// before the decades and one behind them there are nine bands and eight entries: the first and the last share one.
    /// </summary>
    /// <param name="Slope">Value of a step in rank, by the exponent of a rank modulo 8.</param>
    /// <param name="Start">Value at rank 0, by the same; signed in parts of the decade's first rank.</param>
    /// <param name="RanksPerUnit">Steps in rank of a unit of value, over two to the power of the band, by band.</param>
    /// <param name="Next">Smallest magnitude that belongs to the band behind, by band.</param>
    internal readonly record struct Tables(Vector256<float> Slope, Vector256<float> Start, Vector256<float> RanksPerUnit, Vector256<float> Next)
    {
        /// <summary>The same with every value multiplied, for <see cref="Decode"/>.</summary>
        public Tables Times(float factor) => this with { Slope = Slope * factor, Start = Start * factor };

        /// <summary>The tables of one of the two maps.</summary>
        public static Tables Of(bool signed)
        {
            float[] slope = new float[8], start = new float[8], perUnit = new float[8], next = new float[8];
            var values = Values(signed);
            for (var decade = 0; decade < Decades; decade++)
            {
                double bins = 1 << (signed ? decade : decade + 1), size = Math.Pow(10, decade - Decades + 1);
                var exponent = (decade + (signed ? 127 : 128)) % 8;
                (slope[exponent], start[exponent]) = ((float)(0.9 * size / bins), (float)(size * (0.1 - 0.9 + 0.45 / bins) / (signed ? bins : 1)));
                // Half-way between the decade's first code and the code before it.
                var code = signed ? 127 + (1 << decade) : (1 << (decade + 1)) - 1;
                (perUnit[decade + 1], next[decade]) = ((float)((signed ? 0.5 : 1) / (0.9 * size)), (float)(((double)values[code] + values[code - 1]) / 2));
            }
            next[7] = (float)(((double)values[255] + values[254]) / 2);
            // One's line ends between its rank and the next, zero's below the first decade's.
            (slope[signed ? 6 : 7], start[signed ? 6 : 7], perUnit[0]) = signed ? (1f / 128, 0f, 0.05625f) : (1f / 255, -1f / 255, 0.1125f);
            return new(Vector256.Create(slope), Vector256.Create(start), Vector256.Create(perUnit), Vector256.Create(next));
        }
    }

    /// <summary>The values of eight codes, before the scale of their block.</summary>
    /// <param name="code">Codes 0 … 255.</param>
    /// <param name="tables">The map's.</param>
    /// <param name="signed">Which map.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Decode(Vector256<int> code, in Tables tables, bool signed)
    {
        if (!signed)
        {
            var counted = Vector256.ConvertToSingle(code + Vector256<int>.One);
            var at = counted.AsInt32() >>> 23;
            return Vector256.FusedMultiplyAdd(counted, Look(tables.Slope, at), Look(tables.Start, at));
        }
        var rank = Vector256.ConvertToSingle(code - Vector256.Create(127));
        // The power of two below, with the rank's sign: what is added at rank 0 has that sign too, and zero stays zero. Of an exponent three bits are looked at.
        var exponent = rank.AsInt32() >>> 23;
        var power = (rank.AsInt32() & Vector256.Create(unchecked((int)0xff800000))).AsSingle();
        return Vector256.FusedMultiplyAdd(rank, Look(tables.Slope, exponent), power * Look(tables.Start, exponent));
    }

    /// <summary>The places, before <see cref="Narrow"/>, of the codes nearest to eight numbers in −1 … 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Encode(Vector256<float> value, in Tables tables, bool signed)
    {
        var size = signed ? Vector256.Abs(value) : value;
        var band = BandOrBefore(size);
        band -= Vector256.GreaterThanOrEqual(size, Look(tables.Next, band)).AsInt32();
        // The lowest rank of a band is a power of two, and the rank of value 0 is 8/9 of it (bins − bins·0.1/0.9): in parts of that power, ranks of all bands
        // begin and end alike, and an addition to the exponent makes them whole. What lies between two bands and belongs to the lower one gets its highest rank.
        var (origin, highest) = signed ? (0.5f * (8f / 9), 0.99999994f) : (8f / 9, 1.9999999f);
        var part = Vector256.MinNative(Vector256.FusedMultiplyAdd(size, Look(tables.RanksPerUnit, band), Vector256.Create(origin)), Vector256.Create(highest));
        var rank = Vector256.ConvertToInt32Native((part.AsInt32() + (band << 23)).AsSingle());
        if (!signed) return rank;
        if (Avx2.IsSupported) return Avx2.Sign(rank, value.AsInt32());
        var negative = value.AsInt32() >> 31;
        return (rank ^ negative) - negative;
    }

    /// <summary>32 codes as bytes, in order, of what <see cref="Encode"/> gave.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Narrow(Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d, bool signed)
    {
        // The code of rank 0 …; what would lie before the first code (zero without a sign, minus one with one) gets the first.
        var first = Vector256.Create((short)(signed ? 127 : -1));
        if (Avx2.IsSupported)
            return Avx2.PermuteVar8x32(Avx2.PackUnsignedSaturate(Avx2.PackSignedSaturate(a, b) + first, Avx2.PackSignedSaturate(c, d) + first).AsInt32(), Vector256.Create(0, 4, 1, 5, 2, 6, 3, 7)).AsByte();
        return Vector256.Narrow(Vector256.Max(Vector256.Narrow(a, b) + first, Vector256<short>.Zero).AsUInt16(), Vector256.Max(Vector256.Narrow(c, d) + first, Vector256<short>.Zero).AsUInt16());
    }

    /// <summary>
    /// By the upper half of a number's bits (sign, exponent, seven bits of mantissa, so nearly its logarithm) the band that it lies in or the one
    /// before: the borders of bands are more than two powers of two apart, and these steps of 400 lie at least 148, more than a power of two,
    /// from the borders of either map.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> BandOrBefore(Vector256<float> size)
    {
        const uint offset = 13209, perStep = 164;
        if (Avx2.IsSupported)
            return Avx2.MultiplyHigh(Avx2.SubtractSaturate(size.AsUInt16(), Vector256.Create(offset << 16).AsUInt16()), Vector256.Create(perStep << 16).AsUInt16()).AsInt32() >>> 16;
        return (Vector256.Max((size.AsInt32() >>> 16) - Vector256.Create((int)offset), Vector256<int>.Zero) * (int)perStep) >>> 16;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Look(Vector256<float> table, Vector256<int> index) =>
        Avx2.IsSupported ? Avx2.PermuteVar8x32(table, index) : Vector256.Shuffle(table, index & Vector256.Create(7));
}
