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

    /// <summary>A block of 16-bit words.</summary>
    /// <param name="from">Its first row.</param>
    /// <param name="to">Where the transpose goes.</param>
    /// <param name="stride">Words from a row to the next, in both.</param>
    public static void Turn(short* from, short* to, nint stride)
    {
        if (!Sse2.IsSupported)
        {
            for (var i = 0; i < 8; i++)
                for (var j = 0; j < 8; j++) to[j * stride + i] = from[i * stride + j];
            return;
        }
        Vector128<short> r0 = Vector128.Load(from), r1 = Vector128.Load(from + stride), r2 = Vector128.Load(from + 2 * stride), r3 = Vector128.Load(from + 3 * stride);
        Vector128<short> r4 = Vector128.Load(from + 4 * stride), r5 = Vector128.Load(from + 5 * stride), r6 = Vector128.Load(from + 6 * stride), r7 = Vector128.Load(from + 7 * stride);
        Vector128<int> a0 = Sse2.UnpackLow(r0, r1).AsInt32(), a1 = Sse2.UnpackHigh(r0, r1).AsInt32(), a2 = Sse2.UnpackLow(r2, r3).AsInt32(), a3 = Sse2.UnpackHigh(r2, r3).AsInt32();
        Vector128<int> a4 = Sse2.UnpackLow(r4, r5).AsInt32(), a5 = Sse2.UnpackHigh(r4, r5).AsInt32(), a6 = Sse2.UnpackLow(r6, r7).AsInt32(), a7 = Sse2.UnpackHigh(r6, r7).AsInt32();
        Vector128<long> b0 = Sse2.UnpackLow(a0, a2).AsInt64(), b1 = Sse2.UnpackHigh(a0, a2).AsInt64(), b2 = Sse2.UnpackLow(a1, a3).AsInt64(), b3 = Sse2.UnpackHigh(a1, a3).AsInt64();
        Vector128<long> b4 = Sse2.UnpackLow(a4, a6).AsInt64(), b5 = Sse2.UnpackHigh(a4, a6).AsInt64(), b6 = Sse2.UnpackLow(a5, a7).AsInt64(), b7 = Sse2.UnpackHigh(a5, a7).AsInt64();
        Sse2.UnpackLow(b0, b4).AsInt16().Store(to);
        Sse2.UnpackHigh(b0, b4).AsInt16().Store(to + stride);
        Sse2.UnpackLow(b1, b5).AsInt16().Store(to + 2 * stride);
        Sse2.UnpackHigh(b1, b5).AsInt16().Store(to + 3 * stride);
        Sse2.UnpackLow(b2, b6).AsInt16().Store(to + 4 * stride);
        Sse2.UnpackHigh(b2, b6).AsInt16().Store(to + 5 * stride);
        Sse2.UnpackLow(b3, b7).AsInt16().Store(to + 6 * stride);
        Sse2.UnpackHigh(b3, b7).AsInt16().Store(to + 7 * stride);
    }

    private static Vector256<float> Row(int* from) => Vector256.Load((float*)from);

    private static void Put(Vector256<float> row, int* to) => row.Store((float*)to);
}
