using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Perennial.Data.Tokenizers;

/// <summary>
/// Ids of pieces seen before. Every slot holds one immutable entry and is replaced whole, so that threads share it without locks: a lost race
/// costs a merge, never a wrong id. Short pieces, which are nearly all, lie in the entry itself.
/// </summary>
internal sealed class PieceCache
{
    /// <summary>Longest piece that is kept, in bytes.</summary>
    public const int LongestPiece = 16;

    private const int Bits = 16;
    private readonly Entry?[] slots = new Entry?[1 << Bits];

    /// <summary>What is known of a piece; null when nothing is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Entry? Find(in PieceKey key)
    {
        // Two places a piece may be in: the second takes what the first would push out.
        var index = key.Index(Bits);
        var entry = Volatile.Read(ref slots[index]);
        if (entry is not null && entry.Key.Equals(key)) return entry;
        entry = Volatile.Read(ref slots[index ^ 1]);
        return entry is not null && entry.Key.Equals(key) ? entry : null;
    }

    /// <summary>Remembers the ids of a piece.</summary>
    public void Add(in PieceKey key, ReadOnlySpan<int> ids)
    {
        var index = key.Index(Bits);
        if (Volatile.Read(ref slots[index]) is { } old) Volatile.Write(ref slots[index ^ 1], old);
        Volatile.Write(ref slots[index], new Entry(key, ids));
    }

    /// <summary>A piece and its ids.</summary>
    internal sealed class Entry(PieceKey key, ReadOnlySpan<int> ids)
    {
        public readonly PieceKey Key = key;
        public readonly int Count = ids.Length;
        public readonly int First = ids[0];
        public readonly int Second = ids.Length > 1 ? ids[1] : 0;
        public readonly int[]? All = ids.Length > 2 ? ids.ToArray() : null;
    }
}

/// <summary>A piece of up to 16 bytes as two words and its length.</summary>
internal readonly struct PieceKey
{
    private readonly ulong low, high;
    private readonly int length;

    /// <summary>Reads a piece out of a text.</summary>
    /// <param name="text">The text.</param>
    /// <param name="start">First byte.</param>
    /// <param name="length">Bytes, 1 to 16.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public PieceKey(ReadOnlySpan<byte> text, int start, int length)
    {
        this.length = length;
        if (start + 16 <= text.Length)
        {
            ref var first = ref Unsafe.Add(ref MemoryMarshal.GetReference(text), start);
            low = Unsafe.ReadUnaligned<ulong>(ref first);
            high = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref first, 8));
            // Bytes behind the piece do not belong to it. A shift by 64 would be a shift by 0.
            if (length < 8) (low, high) = (low & ((1UL << (8 * length)) - 1), 0);
            else if (length < 16) high &= (1UL << (8 * (length - 8))) - 1;
        }
        else
        {
            Span<byte> copy = stackalloc byte[16];
            copy.Clear();
            text.Slice(start, length).CopyTo(copy);
            low = MemoryMarshal.Read<ulong>(copy);
            high = MemoryMarshal.Read<ulong>(copy[8..]);
        }
    }

    /// <summary>A place in a table of 2^bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Index(int bits)
    {
        var mixed = (low ^ (ulong)length) * 0x9E3779B97F4A7C15UL ^ (high + 0x632BE59BD9B4E019UL) * 0xC2B2AE3D27D4EB4FUL;
        return (int)((mixed ^ mixed >> 32) * 0xD6E8FEB86659FD93UL >> (64 - bits));
    }

    /// <summary>Whether the pieces are the same bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Equals(in PieceKey other) => low == other.low && high == other.high && length == other.length;
}
