namespace Perennial.Resilience.Coding;

/// <summary>One chunk of a group: the data chunk or the parity chunk of a rank, by its local number.</summary>
/// <param name="Rank">The member, 0 … n − 1.</param>
/// <param name="IsParity">Whether it is one of the rank's m parity chunks, else one of its k data chunks.</param>
/// <param name="Index">Local number.</param>
public readonly record struct GroupChunk(int Rank, bool IsParity, int Index);

/// <summary>
/// Who holds what in a sharding group of n ranks that tolerates m losses (paper 02 §4). Each rank cuts its shard in k = n − m chunks; there
/// are n stripes of k data and m parity chunks, no two of a stripe on one rank. Each rank holds exactly m parity chunks: the memory overhead
/// is m/k of the shard, and encode and restore load are even.
/// </summary>
public sealed record StripePlacement
{
    /// <summary>A placement.</summary>
    /// <param name="ranks">n, 2 to 255.</param>
    /// <param name="losses">m, 1 to n − 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">n or m is out of range.</exception>
    public StripePlacement(int ranks, int losses)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ranks, 255);
        ArgumentOutOfRangeException.ThrowIfLessThan(losses, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(losses, ranks);
        (Ranks, Losses) = (ranks, losses);
    }

    /// <summary>n: members, and stripes.</summary>
    public int Ranks { get; }

    /// <summary>m: parity chunks of a stripe, losses tolerated.</summary>
    public int Losses { get; }

    /// <summary>k = n − m: data chunks of a stripe, and of a rank.</summary>
    public int DataChunks => Ranks - Losses;

    /// <summary>Bytes of a chunk for a shard of so many bytes: the shard is padded with zeros to a multiple of k · 64.</summary>
    public long ChunkBytes(long shardBytes) => (shardBytes + DataChunks * 64L - 1) / (DataChunks * 64L) * 64;

    /// <summary>The rank that holds parity <paramref name="parity"/> of a stripe: (s + i) mod n. It is that rank's local parity chunk i.</summary>
    public int ParityRank(int stripe, int parity) => (stripe + parity) % Ranks;

    /// <summary>The rank whose local chunk t is data member t of a stripe: (s + m + t) mod n.</summary>
    public int DataRank(int stripe, int member) => (stripe + Losses + member) % Ranks;

    /// <summary>The stripe that a rank's chunk belongs to.</summary>
    public int StripeOf(GroupChunk chunk)
    {
        var shift = chunk.IsParity ? chunk.Index : Losses + chunk.Index;
        return ((chunk.Rank - shift) % Ranks + Ranks) % Ranks;
    }

    /// <summary>The chunks of a stripe in the code's order: k data, then m parity.</summary>
    public IEnumerable<GroupChunk> Stripe(int stripe)
    {
        for (var member = 0; member < DataChunks; member++) yield return new(DataRank(stripe, member), false, member);
        for (var parity = 0; parity < Losses; parity++) yield return new(ParityRank(stripe, parity), true, parity);
    }

    /// <summary>All chunks of a rank.</summary>
    public IEnumerable<GroupChunk> ChunksOf(int rank) =>
        Enumerable.Range(0, DataChunks).Select(index => new GroupChunk(rank, false, index))
            .Concat(Enumerable.Range(0, Losses).Select(index => new GroupChunk(rank, true, index)));
}
