using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Perennial.Optimization;

/// <summary>Transposes of 8 × 8 blocks of matrices.</summary>
internal static unsafe class Blocks
{
    /// <summary>A block of 32-bit words.</summary>
    /// <param name="upper">Its first four rows.</param>
    /// <param name="lower">Its last four.</param>
    /// <param name="stride">Words from a row to the next.</param>
    /// <param name="to">Where the transpose goes.</param>
    /// <param name="toStride">Words from a row to the next there.</param>
    public static void Turn(int* upper, int* lower, nint stride, int* to, nint toStride)
    {
        if (!Avx.IsSupported)
        {
            for (var i = 0; i < 4; i++)
                for (var j = 0; j < 8; j++) (to[j * toStride + i], to[j * toStride + i + 4]) = (upper[i * stride + j], lower[i * stride + j]);
            return;
        }
        Vector256<float> r0 = Row(upper), r1 = Row(upper + stride), r2 = Row(upper + 2 * stride), r3 = Row(upper + 3 * stride);
        Vector256<float> r4 = Row(lower), r5 = Row(lower + stride), r6 = Row(lower + 2 * stride), r7 = Row(lower + 3 * stride);
        Vector256<float> t0 = Avx.UnpackLow(r0, r1), t1 = Avx.UnpackHigh(r0, r1), t2 = Avx.UnpackLow(r2, r3), t3 = Avx.UnpackHigh(r2, r3);
        Vector256<float> t4 = Avx.UnpackLow(r4, r5), t5 = Avx.UnpackHigh(r4, r5), t6 = Avx.UnpackLow(r6, r7), t7 = Avx.UnpackHigh(r6, r7);
        Vector256<float> a0 = Avx.Shuffle(t0, t2, 0x44), a1 = Avx.Shuffle(t0, t2, 0xEE), a2 = Avx.Shuffle(t1, t3, 0x44), a3 = Avx.Shuffle(t1, t3, 0xEE);
        Vector256<float> a4 = Avx.Shuffle(t4, t6, 0x44), a5 = Avx.Shuffle(t4, t6, 0xEE), a6 = Avx.Shuffle(t5, t7, 0x44), a7 = Avx.Shuffle(t5, t7, 0xEE);
        Put(Avx.Permute2x128(a0, a4, 0x20), to);
        Put(Avx.Permute2x128(a1, a5, 0x20), to + toStride);
        Put(Avx.Permute2x128(a2, a6, 0x20), to + 2 * toStride);
        Put(Avx.Permute2x128(a3, a7, 0x20), to + 3 * toStride);
        Put(Avx.Permute2x128(a0, a4, 0x31), to + 4 * toStride);
        Put(Avx.Permute2x128(a1, a5, 0x31), to + 5 * toStride);
        Put(Avx.Permute2x128(a2, a6, 0x31), to + 6 * toStride);
        Put(Avx.Permute2x128(a3, a7, 0x31), to + 7 * toStride);
    }

    private static Vector256<float> Row(int* from) => Vector256.Load((float*)from);

    private static void Put(Vector256<float> row, int* to) => row.Store((float*)to);
}
