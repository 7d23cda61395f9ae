using System.Buffers;
using System.Numerics;

namespace Perennial.Data.Text;

/// <summary>Counts n-grams of a document's words by a polynomial hash over the hashes of words: any n-gram's hash takes one multiplication.</summary>
internal ref struct GramTable
{
    private const ulong Base = 0xD6E8FEB86659FD93;

    private readonly ReadOnlySpan<int> starts, ends;
    private readonly int words;
    private readonly ulong[] prefix;
    private readonly int[] lengths;
    private readonly ulong[] keys;
    private readonly int[] counts;
    private readonly int mask;

    public GramTable(ReadOnlySpan<byte> text, DocumentWords of)
    {
        starts = of.Starts;
        ends = of.Ends;
        words = of.Count;
        prefix = ArrayPool<ulong>.Shared.Rent(words + 1);
        lengths = ArrayPool<int>.Shared.Rent(words + 1);
        (prefix[0], lengths[0]) = (0, 0);
        for (var i = 0; i < words; i++)
        {
            prefix[i + 1] = prefix[i] * Base + WordHash.Of(text[starts[i]..ends[i]]);
            lengths[i + 1] = lengths[i] + ends[i] - starts[i];
        }
        var size = (int)Math.Max(64, BitOperations.RoundUpToPowerOf2((uint)words * 2));
        mask = size - 1;
        keys = ArrayPool<ulong>.Shared.Rent(size);
        counts = ArrayPool<int>.Shared.Rent(size);
    }

    /// <summary>Bytes of the longest n-gram, with a byte between words.</summary>
    public readonly int Longest(int n)
    {
        var longest = 0;
        for (var i = 0; i + n <= words; i++) longest = Math.Max(longest, lengths[i + n] - lengths[i]);
        return longest + n - 1;
    }

    /// <summary>Bytes in all occurrences of the most frequent n-gram (the earliest of several), with a byte between words.</summary>
    public readonly long MostFrequent(int n, out int count)
    {
        Clear();
        var power = Power(n);
        count = 0;
        for (var i = 0; i + n <= words; i++) count = Math.Max(count, ++counts[Slot(Hash(i, n, power))]);
        for (var i = 0; i + n <= words; i++)
        {
            if (counts[Slot(Hash(i, n, power))] == count) return (long)count * (lengths[i + n] - lengths[i] + n - 1);
        }
        return 0;
    }

    /// <summary>Bytes in n-grams that repeat an earlier one, taken from left to right without overlap.</summary>
    public readonly long Repeated(int n)
    {
        Clear();
        var power = Power(n);
        var bytes = 0L;
        for (var i = 0; i + n <= words;)
        {
            ref var count = ref counts[Slot(Hash(i, n, power))];
            if (count == 0)
            {
                count = 1;
                i++;
                continue;
            }
            bytes += lengths[i + n] - lengths[i];
            i += n;
        }
        return bytes;
    }

    /// <summary>Bytes of words covered by n-grams that occurred before: no longer n-gram's <see cref="Repeated"/> can exceed it.</summary>
    public readonly long RepeatedCover(int n)
    {
        Clear();
        var power = Power(n);
        var (bytes, covered) = (0L, 0);
        for (var i = 0; i + n <= words; i++)
        {
            ref var count = ref counts[Slot(Hash(i, n, power))];
            if (count++ == 0) continue;
            var from = Math.Max(covered, i);
            bytes += lengths[i + n] - lengths[from];
            covered = i + n;
        }
        return bytes;
    }

    /// <summary>At least the count of the most frequent n-gram: counted by hash alone, so that others may add to it.</summary>
    public readonly int MostFrequentAtMost(int n)
    {
        Clear();
        var (power, most) = (Power(n), 0);
        for (var i = 0; i + n <= words; i++) most = Math.Max(most, ++counts[(int)Hash(i, n, power) & mask]);
        return most;
    }

    /// <summary>At least <see cref="RepeatedCover"/>: told by one bit for each hash.</summary>
    public readonly long RepeatedCoverAtMost(int n)
    {
        // The table of counts as bits: 64 for every word at least, so that chance repeats are one in a hundred.
        Clear();
        var power = Power(n);
        var (bytes, covered) = (0L, 0);
        var bits = (uint)((mask + 1) * 32L - 1);
        for (var i = 0; i + n <= words; i++)
        {
            var bit = (uint)Hash(i, n, power) & bits;
            ref var word = ref counts[bit >> 5];
            var seen = word >> (int)(bit & 31) & 1;
            word |= 1 << (int)(bit & 31);
            if (seen == 0) continue;
            bytes += lengths[i + n] - lengths[Math.Max(covered, i)];
            covered = i + n;
        }
        return bytes;
    }

    public readonly void Dispose()
    {
        ArrayPool<ulong>.Shared.Return(prefix);
        ArrayPool<int>.Shared.Return(lengths);
        ArrayPool<ulong>.Shared.Return(keys);
        ArrayPool<int>.Shared.Return(counts);
    }

    private readonly void Clear()
    {
        Array.Clear(counts, 0, mask + 1);
    }

    private readonly ulong Hash(int at, int n, ulong power)
    {
        // One more multiplication spreads over the upper half what the sum has in all bits; indices are taken from there.
        var hash = (prefix[at + n] - prefix[at] * power) * 0x9E3779B97F4A7C15;
        return hash ^ hash >> 32;
    }

    private static ulong Power(int n)
    {
        var power = Base;
        for (var i = 1; i < n; i++) power *= Base;
        return power;
    }

    // The slot of a key; a slot whose count is 0 is free and takes it.
    private readonly int Slot(ulong key)
    {
        for (var slot = (int)key & mask; ; slot = (slot + 1) & mask)
        {
            if (counts[slot] == 0)
            {
                keys[slot] = key;
                return slot;
            }
            if (keys[slot] == key) return slot;
        }
    }
}
