using System.Runtime.InteropServices;
using Perennial.Core.Safetensors;

namespace Perennial.Models.HuggingFace;

/// <summary>Between the element types of weights: float32, float16, bfloat16; rounding to nearest even.</summary>
public static class FloatConversion
{
    /// <summary>Whether weights of this type are converted.</summary>
    public static bool IsWeight(SafetensorsType type) => type is SafetensorsType.F32 or SafetensorsType.F16 or SafetensorsType.BF16;

    /// <summary>Converts elements, little endian.</summary>
    /// <param name="source">Elements of <paramref name="from"/>.</param>
    /// <param name="from">One of the three types.</param>
    /// <param name="destination">As many elements of <paramref name="to"/>.</param>
    /// <param name="to">One of the three types.</param>
    /// <returns>How many finite numbers became infinite because the new type's range is too small.</returns>
    /// <exception cref="ArgumentException">Another type, or the lengths do not match.</exception>
    public static long Convert(ReadOnlySpan<byte> source, SafetensorsType from, Span<byte> destination, SafetensorsType to)
    {
        if (!IsWeight(from) || !IsWeight(to)) throw new ArgumentException($"cannot convert {from} to {to}");
        if (source.Length / from.Size() != destination.Length / to.Size()) throw new ArgumentException("as many elements must come out as go in");
        if (from == to)
        {
            source.CopyTo(destination);
            return 0;
        }
        var lost = 0L;
        for (var i = 0; i < source.Length / from.Size(); i++)
        {
            var value = from switch
            {
                SafetensorsType.F32 => MemoryMarshal.Read<float>(source[(4 * i)..]),
                SafetensorsType.F16 => (float)MemoryMarshal.Read<Half>(source[(2 * i)..]),
                _ => BitConverter.UInt32BitsToSingle((uint)MemoryMarshal.Read<ushort>(source[(2 * i)..]) << 16),
            };
            var written = value;
            switch (to)
            {
                case SafetensorsType.F32:
                    MemoryMarshal.Write(destination[(4 * i)..], value);
                    break;
                case SafetensorsType.F16:
                    var half = (Half)value;
                    written = (float)half;
                    MemoryMarshal.Write(destination[(2 * i)..], half);
                    break;
                default:
                    var bits = Bfloat16Bits(value);
                    written = BitConverter.UInt32BitsToSingle((uint)bits << 16);
                    MemoryMarshal.Write(destination[(2 * i)..], bits);
                    break;
            }
            if (float.IsInfinity(written) && float.IsFinite(value)) lost++;
        }
        return lost;
    }

    private static ushort Bfloat16Bits(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        // Rounding must not carry a NaN's payload into infinity.
        return float.IsNaN(value) ? (ushort)(bits >> 16 | 0x40) : (ushort)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}
