using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Perennial.Data.Text;

/// <summary>
/// Where the lines of a text are, and their hashes once somebody asks. Kept for the thread's latest text, as <see cref="DocumentWords"/>: filters in
/// a row look at the same lines. A line end at the text's end begins no further line.
/// </summary>
internal sealed class DocumentLines
{
    [ThreadStatic]
    private static DocumentLines? latest;

    private ReadOnlyMemory<byte> text;
    private int[] ends = new int[256];
    private ulong[] hashes = [];
    private int hashed;

    /// <summary>Number of lines.</summary>
    public int Count { get; private set; }

    /// <summary>The byte behind every line, before its line end, <c>[lines]</c>; the next line begins one byte later.</summary>
    public ReadOnlySpan<int> Ends => ends.AsSpan(0, Count);

    /// <summary>Hash of every line's bytes, without its line end, <c>[lines]</c>.</summary>
    public ReadOnlySpan<ulong> Hashes
    {
        get
        {
            if (hashed < Count) Hash();
            return hashes.AsSpan(0, Count);
        }
    }

    /// <summary>The lines of a text, valid on this thread until it asks for another text's.</summary>
    public static DocumentLines Of(ReadOnlyMemory<byte> text)
    {
        var lines = latest ??= new DocumentLines();
        if (!lines.text.Equals(text) || text.IsEmpty) lines.Scan(text);
        return lines;
    }

    /// <summary>First byte of a line.</summary>
    public int Start(int line) => line == 0 ? 0 : ends[line - 1] + 1;

    private void Scan(ReadOnlyMemory<byte> of)
    {
        (text, Count, hashed) = (of, 0, 0);
        // A giant document's tables are not kept for small ones.
        if (ends.Length > 1 << 18 && of.Length < 1 << 18) (ends, hashes) = (new int[256], []);
        var bytes = of.Span;
        ref var first = ref MemoryMarshal.GetReference(bytes);
        var feed = Vector256.Create((byte)'\n');
        var at = 0;
        for (; at + 64 <= bytes.Length; at += 64)
        {
            var found = Vector256.Equals(Vector256.LoadUnsafe(ref first, (nuint)at), feed).ExtractMostSignificantBits()
                | (ulong)Vector256.Equals(Vector256.LoadUnsafe(ref first, (nuint)at + 32), feed).ExtractMostSignificantBits() << 32;
            if (Count + 64 > ends.Length) Array.Resize(ref ends, ends.Length * 2);
            Count += BitPositions.Write(found, at, ends.AsSpan(Count));
        }
        if (Count + 64 > ends.Length) Array.Resize(ref ends, ends.Length * 2);
        for (; at < bytes.Length; at++)
        {
            if (bytes[at] == '\n') ends[Count++] = at;
        }
        if (bytes.Length > 0 && bytes[^1] != '\n') ends[Count++] = bytes.Length;
    }

    private void Hash()
    {
        if (hashes.Length < Count) hashes = new ulong[ends.Length];
        var bytes = text.Span;
        for (; hashed < Count; hashed++) hashes[hashed] = WordHash.Of(bytes[Start(hashed)..ends[hashed]]);
    }
}
