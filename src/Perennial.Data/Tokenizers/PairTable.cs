using System.Numerics;
using System.Runtime.CompilerServices;

namespace Perennial.Data.Tokenizers;

/// <summary>Rank and result of every merge, by its pair of ids: open addressing over flat arrays, read without locks.</summary>
internal sealed class PairTable
{
    private readonly Slot[] slots;
    private readonly int shift;

    /// <summary>Takes merges in rank order; of a pair that stands there twice, the first counts.</summary>
    public PairTable(IReadOnlyList<(int Left, int Right, int Merged)> merges)
    {
        var size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(16, merges.Count * 2L));
        slots = new Slot[size];
        shift = 64 - BitOperations.Log2((uint)size);
        for (var rank = 0; rank < merges.Count; rank++)
        {
            var (left, right, merged) = merges[rank];
            var key = Key(left, right);
            var index = Index(key);
            while (slots[index].Key != 0 && slots[index].Key != key) index = (index + 1) & (slots.Length - 1);
            if (slots[index].Key == 0) slots[index] = new Slot(key, rank, merged);
        }
    }

    /// <summary>The rank of a pair and what it becomes; <see cref="int.MaxValue"/> where it is no merge.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Rank(int left, int right, out int merged)
    {
        var key = Key(left, right);
        for (var index = Index(key); ; index = (index + 1) & (slots.Length - 1))
        {
            ref readonly var slot = ref slots[index];
            if (slot.Key == key)
            {
                merged = slot.Merged;
                return slot.Rank;
            }
            if (slot.Key != 0) continue;
            merged = 0;
            return int.MaxValue;
        }
    }

    // One above the ids, so that no key is 0, which marks an empty slot.
    private static ulong Key(int left, int right) => (ulong)(uint)(left + 1) << 32 | (uint)(right + 1);

    private int Index(ulong key) => (int)(key * 0x9E3779B97F4A7C15UL >> shift);

    private readonly record struct Slot(ulong Key, int Rank, int Merged);
}
