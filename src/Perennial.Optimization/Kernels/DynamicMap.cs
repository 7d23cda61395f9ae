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

    /// <summary>Tables that the vectorized conversions look into, eight entries each, by decade.</summary>
    /// <param name="Bins">Bins of a decade.</param>
    /// <param name="Scale">10^(decade − 6).</param>
    /// <param name="HalfBin">0.9 · 0.5 / bins.</param>
    /// <param name="BinsPerUnit">bins / (0.9 · scale).</param>
    internal readonly record struct Tables(Vector256<float> Bins, Vector256<float> Scale, Vector256<float> HalfBin, Vector256<float> BinsPerUnit)
    {
        /// <summary>Smallest magnitudes of decades 1 … 6 (nearest to their first code), of the first code, and of the code of 1.</summary>
        public required float[] Thresholds { get; init; }

        /// <summary>The tables of one of the two maps.</summary>
        public static Tables Of(bool signed)
        {
            float[] bins = new float[8], scale = new float[8], half = new float[8], perUnit = new float[8], thresholds = new float[8];
            for (var decade = 0; decade < Decades; decade++)
            {
                var count = 1 << (signed ? decade : decade + 1);
                var size = Math.Pow(10, decade - Decades + 1);
                (bins[decade], scale[decade], half[decade], perUnit[decade]) = (count, (float)size, (float)(0.45 / count), (float)(count / (0.9 * size)));
            }
            var values = Values(signed);
            // Half-way between a decade's first code and the code before it.
            for (var decade = 0; decade < Decades; decade++)
            {
                var code = signed ? 127 + (1 << decade) : (1 << (decade + 1)) - 1;
                thresholds[decade] = (float)(((double)values[code] + values[code - 1]) / 2);
            }
            thresholds[7] = (float)(((double)values[255] + values[254]) / 2);
            return new(Vector256.Create(bins), Vector256.Create(scale), Vector256.Create(half), Vector256.Create(perUnit)) { Thresholds = thresholds };
        }
    }

    /// <summary>The values of eight codes, before the scale of their block.</summary>
    /// <param name="code">Codes 0 … 255.</param>
    /// <param name="tables">The map's.</param>
    /// <param name="signed">Which map.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Decode(Vector256<int> code, in Tables tables, bool signed)
    {
        // The rank among positive codes, counted so that decade i holds 2ⁱ … 2ⁱ⁺¹ − 1 (one more without a sign): its exponent is the decade.
        var shifted = signed ? code - Vector256.Create(127) : code;
        var rank = signed ? Vector256.Abs(shifted) : shifted + Vector256<int>.One;
        var number = Vector256.ConvertToSingle(rank);
        var bits = number.AsInt32();
        var exponent = (bits >>> 23) - Vector256.Create(signed ? 127 : 128);
        var fraction = ((bits & Vector256.Create(0x007FFFFF)) | Vector256.Create(0x3F800000)).AsSingle() - Vector256<float>.One;
        var value = Look(tables.Scale, exponent) * (Vector256.FusedMultiplyAdd(fraction, Vector256.Create(0.9f), Vector256.Create(0.1f)) + Look(tables.HalfBin, exponent));
        value = Vector256.ConditionalSelect(Vector256.Equals(code, Vector256.Create(255)).AsSingle(), Vector256<float>.One, value);
        value = Vector256.ConditionalSelect(Vector256.Equals(shifted, Vector256<int>.Zero).AsSingle(), Vector256<float>.Zero, value);
        return signed ? Vector256.ConditionalSelect(Vector256.LessThan(shifted, Vector256<int>.Zero).AsSingle(), -value, value) : value;
    }

    /// <summary>The codes nearest to eight numbers in −1 … 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Encode(Vector256<float> value, in Tables tables, bool signed)
    {
        var size = signed ? Vector256.Abs(value) : value;
        var limits = tables.Thresholds;
        // Comparisons give −1 where true: their sum counts the decades passed.
        var decade = Vector256<int>.Zero;
        for (var i = 1; i < Decades; i++) decade -= Vector256.GreaterThanOrEqual(size, Vector256.Create(limits[i])).AsInt32();
        var bins = Look(tables.Bins, decade);
        // (size / scale − 0.1) / 0.9 · bins, cut off; what lies between the decades goes to the last bin.
        var bin = Vector256.Min(Vector256.FusedMultiplyAdd(size, Look(tables.BinsPerUnit, decade), bins * (-0.1f / 0.9f)), bins - Vector256<float>.One);
        var index = Vector256.ConvertToInt32Native(Vector256.Max(bin, Vector256<float>.Zero));
        var whole = Vector256.ConvertToInt32Native(bins);
        var rank = signed ? whole + index : whole - Vector256<int>.One + index;
        rank = Vector256.ConditionalSelect(Vector256.LessThan(size, Vector256.Create(limits[0])).AsInt32(), Vector256<int>.Zero, rank);
        if (!signed) return Vector256.ConditionalSelect(Vector256.GreaterThanOrEqual(size, Vector256.Create(limits[7])).AsInt32(), Vector256.Create(255), rank);
        var code = Vector256.ConditionalSelect(Vector256.LessThan(value, Vector256<float>.Zero).AsInt32(), Vector256.Create(127) - rank, Vector256.Create(127) + rank);
        return Vector256.ConditionalSelect(Vector256.GreaterThanOrEqual(value, Vector256.Create(limits[7])).AsInt32(), Vector256.Create(255), code);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Look(Vector256<float> table, Vector256<int> index) =>
        Avx2.IsSupported ? Avx2.PermuteVar8x32(table, index) : Vector256.Shuffle(table, index);
}
