namespace Perennial.Resilience.Groups;

/// <summary>Checks that every communicator makes before anything is sent, so that a wrong argument leaves the group whole.</summary>
internal static class Arguments
{
    public static void Counts(ICommunicator group, ReadOnlySpan<long> counts)
    {
        if (counts.Length != group.Size) throw new ArgumentException($"{counts.Length} counts for {group.Size} ranks", nameof(counts));
        foreach (var count in counts) ArgumentOutOfRangeException.ThrowIfNegative(count, nameof(counts));
    }

    public static long Total(ReadOnlySpan<long> counts)
    {
        var total = 0L;
        foreach (var count in counts) total += count;
        return total;
    }

    public static void Length(long length, long expected, string name)
    {
        if (length != expected) throw new ArgumentException($"{length} elements where the counts say {expected}", name);
    }

    public static void Reduces(ElementType type, Reduction reduction)
    {
        if (!type.Allows(reduction)) throw new ArgumentException($"{reduction} is not defined for {type}", nameof(reduction));
    }

    public static void Root(ICommunicator group, int root)
    {
        if (root < 0 || root >= group.Size) throw new ArgumentOutOfRangeException(nameof(root), root, $"there are {group.Size} ranks");
    }

    public static void Peer(ICommunicator group, int peer)
    {
        if (peer < 0 || peer >= group.Size || peer == group.Rank)
            throw new ArgumentOutOfRangeException(nameof(peer), peer, $"rank {group.Rank} of {group.Size} cannot exchange messages with rank {peer}");
    }
}
