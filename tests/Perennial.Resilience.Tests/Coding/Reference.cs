using System.Runtime.InteropServices;
using Perennial.Core;

namespace Perennial.Resilience.Tests.Coding;

/// <summary>The code as one would write it on paper: bit by bit, no tables. Shares nothing with the product.</summary>
internal static class Reference
{
    public static byte Multiply(int a, int b)
    {
        var product = 0;
        for (var bit = 0; bit < 8; bit++)
            if ((b >> bit & 1) != 0) product ^= a << bit;
        for (var bit = 15; bit >= 8; bit--)
            if ((product >> bit & 1) != 0) product ^= 0x11D << (bit - 8);
        return (byte)product;
    }

    public static byte Inverse(int a) => (byte)Enumerable.Range(1, 255).Single(b => Multiply(a, b) == 1);

    public static byte[] Combine(byte[][] sources, byte[] coefficients, byte[]? start = null)
    {
        var result = start?.ToArray() ?? new byte[sources[0].Length];
        for (var s = 0; s < sources.Length; s++)
            for (var i = 0; i < result.Length; i++) result[i] ^= Multiply(coefficients[s], sources[s][i]);
        return result;
    }

    /// <summary>GF2P8AFFINEQB on one byte, after the instruction's description: bit i of the result is the parity of (row 7 − i of the matrix AND x).</summary>
    public static byte Affine(ulong matrix, byte x)
    {
        var result = 0;
        for (var i = 0; i < 8; i++)
        {
            var row = (byte)(matrix >> (8 * (7 - i)));
            result |= (System.Numerics.BitOperations.PopCount((uint)(row & x)) & 1) << i;
        }
        return (byte)result;
    }

    public static byte[] Random(int bytes, ulong item)
    {
        var result = new byte[(bytes + 7) / 8 * 8];
        for (var i = 0; i < result.Length / 8; i++) MemoryMarshal.Write(result.AsSpan(i * 8), Philox.Bits(2, RandomPurpose.Statistics, item, (ulong)i));
        return result[..bytes];
    }
}

/// <summary>Byte ranges in native memory at a chosen offset from a 64-byte border, with guards on both sides.</summary>
internal sealed unsafe class Block : IDisposable
{
    private const byte Guard = 0xA5;
    private readonly byte* memory;
    private readonly int bytes, offset;

    public Block(int bytes, int offset, byte[]? content = null)
    {
        (this.bytes, this.offset) = (bytes, offset + 64);
        memory = (byte*)NativeMemory.AlignedAlloc((nuint)(bytes + offset + 192), 64);
        new Span<byte>(memory, bytes + offset + 192).Fill(Guard);
        content?.CopyTo(Span);
    }

    public nint Address => (nint)(memory + offset);

    public Span<byte> Span => new((void*)Address, bytes);

    public bool GuardsHold => !new Span<byte>(memory, offset).ContainsAnyExcept(Guard) && !new Span<byte>((byte*)Address + bytes, 64).ContainsAnyExcept(Guard);

    public void Dispose() => NativeMemory.AlignedFree(memory);
}
