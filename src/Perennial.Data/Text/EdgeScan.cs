using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Perennial.Data.Text;

/// <summary>
/// Finds where words begin and end, 64 bytes at a time. A word is a stretch of bytes above 0x20; other white space than ASCII's
/// (no-break and ideographic spaces) belongs to words until <c>whitespace</c> has made it plain.
/// </summary>
internal ref struct EdgeScan(ReadOnlySpan<byte> text)
{
    private readonly ReadOnlySpan<byte> text = text;
    private int block = -64;
    private ulong edges, carry;

    /// <summary>The next word; false at the text's end.</summary>
    public bool Next(out int start, out int end)
    {
        if (!Edge(out start))
        {
            end = start;
            return false;
        }
        if (!Edge(out end)) end = text.Length;
        return true;
    }

    private bool Edge(out int position)
    {
        while (edges == 0)
        {
            block += 64;
            if (block >= text.Length)
            {
                block = text.Length;
                position = text.Length;
                return false;
            }
            var words = Words(text[block..]);
            edges = words ^ (words << 1 | carry);
            carry = words >> 63;
        }
        position = block + BitOperations.TrailingZeroCount(edges);
        edges &= edges - 1;
        return position < text.Length;
    }

    private static ulong Words(ReadOnlySpan<byte> from)
    {
        if (from.Length >= 64) return Words(ref MemoryMarshal.GetReference(from));
        Span<byte> rest = stackalloc byte[64];
        rest.Fill((byte)' ');
        from.CopyTo(rest);
        return Words(ref MemoryMarshal.GetReference(rest));
    }

    private static ulong Words(ref byte first)
    {
        var space = Vector256.Create((byte)' ');
        return Vector256.GreaterThan(Vector256.LoadUnsafe(ref first), space).ExtractMostSignificantBits()
            | (ulong)Vector256.GreaterThan(Vector256.LoadUnsafe(ref first, 32), space).ExtractMostSignificantBits() << 32;
    }
}
