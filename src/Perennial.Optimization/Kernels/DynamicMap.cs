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
    /// Tables that the vectorized conversions look into, an entry a decade. Codes of one sign have a rank that is linear in the value within a
    /// decade and has that decade as its exponent: 2ⁱ … 2ⁱ⁺¹ − 1 signed (1 has rank 128), 2ⁱ⁺¹ … 2ⁱ⁺² − 1 without a sign (zero has 1, 1 has 256).
    /// </summary>
    /// <param name="Slope">Value of a step in rank.</param>
    /// <param name="Start">Value at rank 0.</param>
    /// <param name="RanksPerUnit">Steps in rank of a unit of value, for the bin that holds a number.</param>
    /// <param name="Next">Smallest magnitude that belongs to the decade behind; infinite behind the last.</param>
    /// <param name="ToZero">Magnitudes below it are nearest to zero.</param>
    /// <param name="ToOne">Numbers from it on are nearest to one.</param>
    internal readonly record struct Tables(
        Vector256<float> Slope, Vector256<float> Start, Vector256<float> RanksPerUnit, Vector256<float> Next, float ToZero, float ToOne)
    {
        /// <summary>The tables of one of the two maps.</summary>
        public static Tables Of(bool signed)
        {
            float[] slope = new float[8], start = new float[8], perUnit = new float[8], next = new float[8];
            var values = Values(signed);
            // Half-way between a decade's first code and the code before it.
            float Border(int decade) => (signed ? 127 + (1 << decade) : (1 << (decade + 1)) - 1) is var code ? (float)(((double)values[code] + values[code - 1]) / 2) : 0;
            for (var decade = 0; decade < Decades; decade++)
            {
                double bins = 1 << (signed ? decade : decade + 1), size = Math.Pow(10, decade - Decades + 1);
                (slope[decade], start[decade]) = ((float)(0.9 * size / bins), (float)(size * (0.1 - 0.9 + 0.45 / bins)));
                (perUnit[decade], next[decade]) = ((float)(bins / (0.9 * size)), decade + 1 < Decades ? Border(decade + 1) : float.PositiveInfinity);
            }
            // The entry behind: 1, and without a sign zero too.
            (slope[7], start[7]) = signed ? (1f / 128, 0) : (1f / 255, -1f / 255);
            return new(Vector256.Create(slope), Vector256.Create(start), Vector256.Create(perUnit), Vector256.Create(next),
                Border(0), (float)(((double)values[255] + values[254]) / 2));
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
            var at = (counted.AsInt32() >>> 23) - Vector256.Create(128);
            return Vector256.FusedMultiplyAdd(counted, Look(tables.Slope, at), Look(tables.Start, at));
        }
        var shifted = code - Vector256.Create(127);
        var rank = Vector256.ConvertToSingle(Vector256.Abs(shifted));
        var decade = (rank.AsInt32() >>> 23) - Vector256.Create(127);
        var value = Vector256.FusedMultiplyAdd(rank, Look(tables.Slope, decade), Look(tables.Start, decade));
        return Vector256.AndNot(value, Vector256.Equals(shifted, Vector256<int>.Zero).AsSingle()) ^ (shifted & Vector256.Create(int.MinValue)).AsSingle();
    }

    /// <summary>The codes nearest to eight numbers in −1 … 1; without a sign zero is −1, for <see cref="Narrow"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Encode(Vector256<float> value, in Tables tables, bool signed)
    {
        var size = signed ? Vector256.Abs(value) : value;
        // Borders of decades lie more than a power of two apart: by the exponent (5/16 is near log10 2) a number is in one decade or the next, and
        // one comparison decides.
        var above = (size.AsInt32() >>> 23) - Vector256.Create(106);
        var decade = Vector256.Max(((above << 2) + above) >> 4, Vector256<int>.Zero);
        decade -= Vector256.GreaterThanOrEqual(size, Look(tables.Next, decade)).AsInt32();
        // The lowest rank of a decade is its number of bins, a power of two: the highest one and the rank of value 0 (bins − bins·0.1/0.9) follow
        // from it in fewer instructions than another look into a table, and what lies between the decades goes to the nearer end.
        var lowest = ((decade << 23) + Vector256.Create((signed ? 127 : 128) << 23)).AsSingle();
        var number = Vector256.FusedMultiplyAdd(size, Look(tables.RanksPerUnit, decade), lowest * Vector256.Create(8f / 9));
        number = Vector256.MaxNative(Vector256.MinNative(number, lowest + lowest - Vector256.Create(1f)), lowest);
        var rank = Vector256.ConvertToInt32Native(number) - Vector256.GreaterThanOrEqual(value, Vector256.Create(tables.ToOne)).AsInt32();
        rank &= Vector256.GreaterThanOrEqual(size, Vector256.Create(tables.ToZero)).AsInt32();
        if (!signed) return rank - Vector256<int>.One;
        var negative = value.AsInt32() >> 31;
        return Vector256.Create(127) + ((rank ^ negative) - negative);
    }

    /// <summary>32 codes as bytes, in order; what is below zero is zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Narrow(Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d)
    {
        if (Avx2.IsSupported)
            return Avx2.PermuteVar8x32(Avx2.PackUnsignedSaturate(Avx2.PackSignedSaturate(a, b), Avx2.PackSignedSaturate(c, d)).AsInt32(), Vector256.Create(0, 4, 1, 5, 2, 6, 3, 7)).AsByte();
        return Vector256.Narrow(
            Vector256.Narrow(Vector256.Max(a, Vector256<int>.Zero), Vector256.Max(b, Vector256<int>.Zero)).AsUInt16(),
            Vector256.Narrow(Vector256.Max(c, Vector256<int>.Zero), Vector256.Max(d, Vector256<int>.Zero)).AsUInt16());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Look(Vector256<float> table, Vector256<int> index) =>
        Avx2.IsSupported ? Avx2.PermuteVar8x32(table, index) : Vector256.Shuffle(table, index);
}
