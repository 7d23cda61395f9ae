using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Perennial.Data.Text;

/// <summary>
/// Where words begin and end in the 64 bytes of a block, as bits. A word is a stretch of bytes above 0x20; other white space than ASCII's (no-break
/// and ideographic spaces) belongs to words until <c>whitespace</c> has made it plain.
/// </summary>
internal ref struct WordBlocks(ReadOnlySpan<byte> text)
{
    /// <summary>Bytes of a block.</summary>
    public const int Length = 64;

    private readonly ReadOnlySpan<byte> text = text;
    private ulong open;

    /// <summary>First byte of the present block.</summary>
    public int At { get; private set; } = -Length;

    /// <summary>The first byte of every word.</summary>
    public ulong Starts { get; private set; }

    /// <summary>The byte behind every word; a word that the text ends with has none.</summary>
    public ulong Ends { get; private set; }

    /// <summary>Goes to the next block; false at the text's end.</summary>
    public bool Next()
    {
        At += Length;
        if (At >= text.Length) return false;
        var words = Words(text[At..]);
        var edges = words ^ (words << 1 | open);
        open = words >> 63;
        (Starts, Ends) = (edges & words, edges & ~words);
        // Behind a text that ends inside the block there is nothing.
        if (text.Length - At < Length) Ends &= (1UL << text.Length - At) - 1;
        return true;
    }

    private static ulong Words(ReadOnlySpan<byte> from)
    {
        if (from.Length >= Length) return Words(ref MemoryMarshal.GetReference(from));
        Span<byte> rest = stackalloc byte[Length];
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
