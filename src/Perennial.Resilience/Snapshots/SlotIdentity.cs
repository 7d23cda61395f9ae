using Perennial.Resilience.Coding;

namespace Perennial.Resilience.Snapshots;

/// <summary>What a rank's memory is for. Memory of another run, layout or group is never taken for one's own.</summary>
/// <param name="RunId">The run.</param>
/// <param name="Rank">The global rank.</param>
/// <param name="LayoutHash">Hash of which bytes of the state the rank copies.</param>
/// <param name="Bytes">Z: bytes of a snapshot; the same for all ranks of the group (a smaller state is padded with zeros).</param>
/// <param name="GroupSize">n; 1 without a group.</param>
/// <param name="GroupIndex">The rank's place in the group.</param>
/// <param name="Losses">m; 0 without parity.</param>
public sealed record SlotIdentity(Guid RunId, int Rank, ulong LayoutHash, long Bytes, int GroupSize, int GroupIndex, int Losses)
{
    /// <summary>The most buckets a slot is cut in.</summary>
    public const int MostBuckets = 65536;

    private const long SmallestBucket = 4096;

    /// <summary>The group's placement; null without parity.</summary>
    public StripePlacement? Placement => Losses == 0 ? null : new(GroupSize, Losses);

    /// <summary>Bytes of one chunk.</summary>
    public long ChunkBytes => Placement?.ChunkBytes(Bytes) ?? (Bytes + 63) / 64 * 64;

    /// <summary>Bytes of a data slot: the state and its zero padding.</summary>
    public long DataCapacity => ChunkBytes * (GroupSize - Losses > 0 && Losses > 0 ? GroupSize - Losses : 1);

    /// <summary>Bytes of a parity slot.</summary>
    public long ParityCapacity => ChunkBytes * Losses;

    /// <summary>All memory of the rank: 2Z(1 + m/k), the hashes and the header.</summary>
    public long TotalBytes => RankHeader.Size + 2 * (DataCapacity + ParityCapacity) + 2L * 16 * (BucketRoom(DataCapacity) + BucketRoom(ParityCapacity));

    /// <summary>Room for hashes of a slot of so many bytes.</summary>
    internal static int BucketRoom(long capacity) => (int)Math.Min(MostBuckets, (capacity + SmallestBucket - 1) / SmallestBucket);

    /// <summary>A wished bucket size, made a multiple of 4 KiB and large enough that the hashes have room.</summary>
    internal static long FittingBucket(long wished, long capacity)
    {
        var least = (capacity + MostBuckets - 1) / MostBuckets;
        return (Math.Max(Math.Max(wished, least), 1) + SmallestBucket - 1) / SmallestBucket * SmallestBucket;
    }

    internal uint PackedGroup => (uint)(GroupSize | Losses << 8 | GroupIndex << 16);
}
