namespace Perennial.Data.Text;

/// <summary>Counts by 64-bit keys that are hashes already: open addressing, 12 bytes an entry.</summary>
internal sealed class HashTable
{
    private ulong[] keys = new ulong[1024];
    private int[] counts = new int[1024];

    /// <summary>Different keys.</summary>
    public int Count { get; private set; }

    /// <summary>Adds to a key's count and returns it.</summary>
    public int Add(ulong key, int amount)
    {
        if (Count * 3L > keys.Length * 2L) Grow();
        var slot = Slot(key);
        if (counts[slot] == 0)
        {
            keys[slot] = key;
            Count++;
        }
        return counts[slot] += amount;
    }

    /// <summary>A key's count; 0 when it was never added.</summary>
    public int Get(ulong key) => counts[Slot(key)];

    /// <summary>How many keys have a count of one, and of two.</summary>
    public (long Once, long Twice) OnceAndTwice() => (counts.AsSpan().Count(1), counts.AsSpan().Count(2));

    private int Slot(ulong key)
    {
        var mask = keys.Length - 1;
        var slot = (int)(key ^ key >> 32) & mask;
        while (counts[slot] != 0 && keys[slot] != key) slot = (slot + 1) & mask;
        return slot;
    }

    private void Grow()
    {
        var (oldKeys, oldCounts) = (keys, counts);
        (keys, counts) = (new ulong[oldKeys.Length * 2], new int[oldKeys.Length * 2]);
        for (var i = 0; i < oldKeys.Length; i++)
        {
            if (oldCounts[i] == 0) continue;
            var slot = Slot(oldKeys[i]);
            (keys[slot], counts[slot]) = (oldKeys[i], oldCounts[i]);
        }
    }
}
