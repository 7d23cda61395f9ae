using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Perennial.Data.Text;

/// <summary>
/// What n-grams of a document's words cannot exceed, from one pass that counts pairs by hash alone: enough to let ordinary prose through without
/// counting n-grams. Pairs that share a place in the table, or words that share 16 bytes, add to each other's counts, never take away.
/// </summary>
internal readonly ref struct GramBounds
{
    private readonly int longest2, longest3, longest4;

    private GramBounds(int pairs, int longest2, int longest3, int longest4, long cover) =>
        (MostFrequentPair, this.longest2, this.longest3, this.longest4, RepeatedFives) = (pairs, longest2, longest3, longest4, cover);

    /// <summary>At least the count of the most frequent pair of words, and so of any longer n-gram.</summary>
    public int MostFrequentPair { get; }

    /// <summary>At least the bytes of words in 5-grams (and so in longer ones) that occurred before.</summary>
    public long RepeatedFives { get; }

    /// <summary>Bytes of the longest n-gram with a byte between words, for n from 2 to 4; a bound that says nothing for others.</summary>
    public int Longest(int n) => n switch { 2 => longest2 + 1, 3 => longest3 + 2, 4 => longest4 + 3, _ => int.MaxValue };

    /// <summary>Counts a text's words.</summary>
    public static GramBounds Of(ReadOnlySpan<byte> text, DocumentWords of)
    {
        var starts = of.Starts;
        var ends = of.Ends;
        var bits = Math.Max(6, 33 - BitOperations.LeadingZeroCount((uint)starts.Length));
        // One byte a place, so that the table stays near; from 255 on nothing is said.
        var counts = ArrayPool<byte>.Shared.Rent(1 << bits);
        counts.AsSpan(0, 1 << bits).Clear();
        ref var table = ref MemoryMarshal.GetArrayDataReference(counts);
        ref var first = ref MemoryMarshal.GetReference(text);
        // The last words have no 16 bytes to load.
        Span<byte> tail = stackalloc byte[32];
        tail.Clear();
        var inTail = Math.Max(0, text.Length - 16);
        text[inTail..].CopyTo(tail);
        ref var last = ref MemoryMarshal.GetReference(tail);
        var (most, two, three, four) = (0, 0, 0, 0);
        int a = 0, b = 0, c = 0, d = 0;
        var (previous, seen, cover) = (0UL, 0, 0L);
        for (var i = 0; i < starts.Length; i++)
        {
            var (start, length) = (starts[i], ends[i] - starts[i]);
            var hash = start < inTail ? Hash(ref Unsafe.Add(ref first, start), length) : Hash(ref Unsafe.Add(ref last, start - inTail), length);
            if (i > 0)
            {
                two = Math.Max(two, d + length);
                three = Math.Max(three, c + d + length);
                four = Math.Max(four, b + c + d + length);
                ref var place = ref Unsafe.Add(ref table, (nint)((previous * 0xD6E8FEB86659FD93 ^ hash) * 0x9E3779B97F4A7C15 >> 64 - bits));
                // A 5-gram that occurred before is four pairs in a row that did. Without a branch: it could not be foretold.
                int count = place;
                seen = seen + 1 & -count >> 31;
                count += 1 - (count + 1 >> 8);
                most = Math.Max(most, count);
                place = (byte)count;
                if (seen >= 4) cover += seen == 4 ? a + b + c + d + length : length;
            }
            (a, b, c, d, previous) = (b, c, d, length, hash);
        }
        ArrayPool<byte>.Shared.Return(counts);
        return new GramBounds(most < byte.MaxValue ? most : int.MaxValue, two, three, four, cover);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Hash(ref byte word, int length)
    {
        // 16 bytes, of which the word's are kept.
        ReadOnlySpan<byte> mask = [255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        var kept = (Vector128.LoadUnsafe(ref word) & Vector128.LoadUnsafe(ref MemoryMarshal.GetReference(mask), (nuint)(16 - Math.Min(length, 16)))).AsUInt64();
        return kept.ToScalar() * 0x9E3779B97F4A7C15 ^ BitOperations.RotateLeft(kept.GetElement(1) * 0xD6E8FEB86659FD93, 32);
    }
}
