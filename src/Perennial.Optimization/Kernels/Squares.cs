using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>Sums of squares of float32, in double: a float32 sum over ten million elements is off by 0.04 %.</summary>
internal static unsafe class Squares
{
    /// <summary>Of neighbours.</summary>
    public static double Sum(float* values, int count)
    {
        Vector256<double> a = default, b = default, c = default, d = default;
        var i = 0;
        for (; i <= count - 16; i += 16)
        {
            var (a1, b1) = Vector256.Widen(Vector256.Load(values + i));
            var (c1, d1) = Vector256.Widen(Vector256.Load(values + i + 8));
            a = Vector256.FusedMultiplyAdd(a1, a1, a);
            b = Vector256.FusedMultiplyAdd(b1, b1, b);
            c = Vector256.FusedMultiplyAdd(c1, c1, c);
            d = Vector256.FusedMultiplyAdd(d1, d1, d);
        }
        var sum = Vector256.Sum(a + b + (c + d));
        for (; i < count; i++) sum += (double)values[i] * values[i];
        return sum;
    }

    /// <summary>Of a matrix whose rows lie <paramref name="stride"/> apart; on several threads, the same sum on any number of them.</summary>
    public static double Sum(float* values, long rows, int columns, long stride)
    {
        var sums = new double[rows];
        ThreadTeam.ForRows(rows, Math.Max(1, (1 << 16) / Math.Max(1, columns)), (first, end) =>
        {
            for (var row = first; row < end; row++) sums[row] = Sum(values + row * stride, columns);
        });
        var total = 0.0;
        foreach (var sum in sums) total += sum;
        return total;
    }
}
