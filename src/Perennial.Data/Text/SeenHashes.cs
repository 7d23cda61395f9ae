namespace Perennial.Data.Text;

/// <summary>Which hashes were seen: in the caller's stack while they are few, as most documents' lines are.</summary>
/// <param name="small">Room for <see cref="Small"/> entries.</param>
internal ref struct SeenHashes(Span<ulong> small)
{
    /// <summary>Length of the table on the stack; half of it is used.</summary>
    public const int Small = 512;

    private readonly Span<ulong> small = Cleared(small);
    private HashSet<ulong>? large;
    private int count;

    /// <summary>Adds a hash; false when it was seen before.</summary>
    public bool Add(ulong hash)
    {
        // 0 marks a free place.
        hash = Math.Max(1, hash);
        if (large is not null) return large.Add(hash);
        for (var slot = (int)(hash >> 32) & (Small - 1); ; slot = (slot + 1) & (Small - 1))
        {
            if (small[slot] == hash) return false;
            if (small[slot] != 0) continue;
            small[slot] = hash;
            if (++count < Small / 2) return true;
            large = new HashSet<ulong>(Small);
            foreach (var seen in small)
            {
                if (seen != 0) large.Add(seen);
            }
            return true;
        }
    }

    private static Span<ulong> Cleared(Span<ulong> table)
    {
        table.Clear();
        return table;
    }
}
