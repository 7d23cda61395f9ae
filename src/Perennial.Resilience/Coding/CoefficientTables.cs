using System.Runtime.InteropServices;

namespace Perennial.Resilience.Coding;

/// <summary>
/// What kernels need to multiply by a constant, for all 256 constants: the products of the low and of the high nibble (16 bytes each),
/// and the 8 by 8 bit matrix of GF2P8AFFINEQB. One entry takes a cache line. GF2P8MULB is of no use: its polynomial is fixed to 0x11B.
/// </summary>
internal static class CoefficientTables
{
    public const int Stride = 64, HighOffset = 16, MatrixOffset = 32;

    private static readonly byte[] Entries = Make();

    /// <summary>The entry of a constant. The array is pinned for the life of the process.</summary>
    public static unsafe byte* Entry(byte coefficient) => (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(Entries, coefficient * Stride);

    /// <summary>
    /// Multiplication by a constant as the instruction's bit matrix: byte 7 − i of the word is the row that makes bit i of the product;
    /// its bit j says whether bit j of the operand enters, which is bit i of coefficient · 2ʲ.
    /// </summary>
    public static ulong AffineMatrix(byte coefficient)
    {
        var matrix = 0UL;
        for (var j = 0; j < 8; j++)
        {
            var column = GaloisField.Multiply(coefficient, (byte)(1 << j));
            for (var i = 0; i < 8; i++)
                if ((column >> i & 1) != 0) matrix |= 1UL << ((7 - i) * 8 + j);
        }
        return matrix;
    }

    private static byte[] Make()
    {
        var entries = GC.AllocateArray<byte>(256 * Stride, pinned: true);
        for (var coefficient = 0; coefficient < 256; coefficient++)
        {
            var entry = entries.AsSpan(coefficient * Stride, Stride);
            for (var nibble = 0; nibble < 16; nibble++)
            {
                entry[nibble] = GaloisField.Multiply((byte)coefficient, (byte)nibble);
                entry[HighOffset + nibble] = GaloisField.Multiply((byte)coefficient, (byte)(nibble << 4));
            }
            MemoryMarshal.Write(entry[MatrixOffset..], AffineMatrix((byte)coefficient));
        }
        return entries;
    }
}
