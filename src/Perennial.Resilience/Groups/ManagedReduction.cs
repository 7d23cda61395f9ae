using System.Numerics;
using System.Runtime.InteropServices;

namespace Perennial.Resilience.Groups;

/// <summary>Element-wise reductions over bytes that hold elements: what native/reductions.h does, for groups without native code.</summary>
internal static class ManagedReduction
{
    /// <summary>accumulator[i] = accumulator[i] (reduction) operand[i], exactly as the native kernels compute it.</summary>
    public static void Fold(Span<byte> accumulator, ReadOnlySpan<byte> operand, ElementType type, Reduction reduction)
    {
        switch (type)
        {
            case ElementType.Float32: Fold<float>(accumulator, operand, reduction); break;
            case ElementType.Float64: Fold<double>(accumulator, operand, reduction); break;
            case ElementType.Int64: Integers<long>(accumulator, operand, reduction); break;
            case ElementType.UInt8: Integers<byte>(accumulator, operand, reduction); break;
            default: BrainFloats(MemoryMarshal.Cast<byte, ushort>(accumulator), MemoryMarshal.Cast<byte, ushort>(operand), reduction); break;
        }
    }

    private static void Fold<T>(Span<byte> accumulator, ReadOnlySpan<byte> operand, Reduction reduction) where T : unmanaged, INumber<T>
    {
        var a = MemoryMarshal.Cast<byte, T>(accumulator);
        var b = MemoryMarshal.Cast<byte, T>(operand);
        switch (reduction)
        {
            case Reduction.Sum: for (var i = 0; i < a.Length; i++) a[i] = unchecked(a[i] + b[i]); break;
            case Reduction.Max: for (var i = 0; i < a.Length; i++) a[i] = T.IsNaN(a[i]) || a[i] > b[i] ? a[i] : b[i]; break;
            default: for (var i = 0; i < a.Length; i++) a[i] = T.IsNaN(a[i]) || a[i] < b[i] ? a[i] : b[i]; break;
        }
    }

    private static void Integers<T>(Span<byte> accumulator, ReadOnlySpan<byte> operand, Reduction reduction) where T : unmanaged, IBinaryInteger<T>
    {
        if (reduction != Reduction.Xor)
        {
            Fold<T>(accumulator, operand, reduction);
            return;
        }
        for (var i = 0; i < accumulator.Length; i++) accumulator[i] ^= operand[i];
    }

    private static void BrainFloats(Span<ushort> a, ReadOnlySpan<ushort> b, Reduction reduction)
    {
        for (var i = 0; i < a.Length; i++)
        {
            var (x, y) = (Widen(a[i]), Widen(b[i]));
            a[i] = reduction switch
            {
                Reduction.Sum => Narrow(x + y),
                Reduction.Max => float.IsNaN(x) || x > y ? a[i] : b[i],
                _ => float.IsNaN(x) || x < y ? a[i] : b[i],
            };
        }
    }

    private static float Widen(ushort x) => BitConverter.UInt32BitsToSingle((uint)x << 16);

    private static ushort Narrow(float x)
    {
        var bits = BitConverter.SingleToUInt32Bits(x);
        return float.IsNaN(x) ? (ushort)(bits >> 16 | 0x40) : (ushort)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}
