using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>Conversion to bfloat16 (the upper half of a float32), to nearest, ties to even.</summary>
public static class Bfloat16
{
    /// <summary>Whether this processor multiplies bfloat16 matrices in hardware (AVX512-BF16 or AMX-BF16).</summary>
    public static bool IsNative { get; } = DetectNative();

    /// <summary>The upper sixteen bits, rounded, of eight float32; a NaN stays a NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<uint> Round(Vector256<float> values)
    {
        var bits = values.AsUInt32();
        var rounded = (bits + Vector256.Create(0x7fffu) + ((bits >>> 16) & Vector256<uint>.One)) >>> 16;
        return Vector256.ConditionalSelect(Vector256.Equals(values, values).AsUInt32(), rounded, Vector256.Create(0x7fc0u));
    }

    /// <summary>Copies a contiguous float32 tensor into one of a storage, element by element, on several threads.</summary>
    /// <typeparam name="T">The storage of <paramref name="target"/>; its elements must have that size.</typeparam>
    public static unsafe void Copy<T>(Tensor source, Tensor target)
        where T : struct, IStorage
    {
        ArgumentNullException.ThrowIfNull(source);
        var length = source.NumberOfElements;
        var from = (float*)TensorMemory.Address<float>(source);
        var to = (byte*)(T.Size == 2 ? TensorMemory.Address<ushort>(target) : TensorMemory.Address<float>(target));
        ThreadTeam.ForRows(length, 1 << 16, (first, end) =>
        {
            var i = first;
            for (; i <= end - 8; i += 8) T.Store(to, i, Vector256.Load(from + i));
            if (i == end) return;
            // The tail through a buffer: a vector must not touch memory beyond the tensor.
            float* read = stackalloc float[8];
            float* written = stackalloc float[8];
            for (var k = i; k < end; k++) read[k - i] = from[k];
            T.Store(written, 0, Vector256.Load(read));
            Buffer.MemoryCopy(written, to + i * T.Size, (end - i) * T.Size, (end - i) * T.Size);
        });
    }

    private static bool DetectNative()
    {
        if (!X86Base.IsSupported || X86Base.CpuId(0, 0).Eax < 7) return false;
        const int amxBfloat16 = 1 << 22, avx512Bfloat16 = 1 << 5;
        var features = X86Base.CpuId(7, 0);
        var amx = (features.Edx & amxBfloat16) != 0;
        var avx512 = Avx512F.IsSupported && features.Eax >= 1 && (X86Base.CpuId(7, 1).Eax & avx512Bfloat16) != 0;
        return amx || avx512;
    }
}
