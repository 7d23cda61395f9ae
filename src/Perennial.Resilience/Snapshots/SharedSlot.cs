using System.Globalization;
using System.IO.Hashing;

namespace Perennial.Resilience.Snapshots;

/// <summary>
/// One rank's memory: the header with its bucket hashes, two data slots and two parity slots, each a file of a RAM file system, so that it
/// outlives the trainer and the manager alike. Slot A and B of a rank alternate; parity A belongs to the step of data A.
/// </summary>
internal sealed unsafe class SharedSlot : IDisposable
{
    private static readonly string[] Names = ["data-a", "data-b", "parity-a", "parity-b"];
    private readonly MappedRegion[] slots;
    private MappedRegion head;

    private SharedSlot(string folder, SlotIdentity identity, MappedRegion head, MappedRegion[] slots) =>
        (Folder, Identity, this.head, this.slots) = (folder, identity, head, slots);

    public string Folder { get; }

    public SlotIdentity Identity { get; }

    public RankHeader Header => new(head.Start);

    public static string HeadPath(string folder, int rank) => PathOf(folder, rank, "head");

    /// <summary>Fresh memory; what the rank had is gone.</summary>
    /// <exception cref="IOException">The RAM file system has too little room.</exception>
    public static SharedSlot Create(string folder, SlotIdentity identity, ulong epoch)
    {
        Delete(folder, identity.Rank);
        var slots = new List<MappedRegion>();
        try
        {
            for (var j = 0; j < 4; j++)
                if (Capacity(identity, j) > 0) slots.Add(MappedRegion.Create(PathOf(folder, identity.Rank, Names[j]), Capacity(identity, j)));
            var head = MappedRegion.Create(HeadPath(folder, identity.Rank), HeadBytes(identity));
            var memory = new SharedSlot(folder, identity, head, [.. slots]);
            memory.WriteHeader(epoch);
            return memory;
        }
        catch
        {
            foreach (var slot in slots) slot.Dispose();
            Delete(folder, identity.Rank);
            throw;
        }
    }

    /// <summary>Maps a rank's files. Null, with the reason, where they are missing, damaged, or of another run.</summary>
    public static SharedSlot? TryOpen(string folder, int rank, Guid runId, out string? problem)
    {
        problem = null;
        var regions = new List<MappedRegion>();
        try
        {
            regions.Add(MappedRegion.Open(HeadPath(folder, rank)));
            var head = regions[0];
            var header = new RankHeader(head.Start);
            if (head.Bytes < RankHeader.Size || header.Magic != RankHeader.MagicValue || header.Version != RankHeader.CurrentVersion) problem = "its header is not one of this version";
            else if (header.RunId != runId) problem = "it is of another run";
            else if (header.Rank != rank) problem = $"its header says rank {header.Rank}";
            else if ((long)header.SlotBytes <= 0) problem = "its header says no size";
            else
            {
                var flags = header.Flags;
                var identity = new SlotIdentity(runId, rank, header.LayoutHash, (long)header.SlotBytes, (byte)flags, (byte)(flags >> 16), (byte)(flags >> 8));
                if (identity.GroupSize < 1 || identity.Losses >= Math.Max(2, identity.GroupSize) || HeadBytes(identity) != head.Bytes) problem = "its header does not fit its files";
                else
                {
                    for (var j = 0; j < 4; j++)
                        if (Capacity(identity, j) > 0) regions.Add(MappedRegion.Open(PathOf(folder, rank, Names[j])));
                    if (regions.Skip(1).Select((region, j) => region.Bytes == Capacity(identity, j)).All(fits => fits))
                        return new(folder, identity, head, [.. regions.Skip(1)]);
                    problem = "its slots have the wrong size";
                }
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException)
        {
            problem = error.Message;
        }
        foreach (var region in regions) region.Dispose();
        return null;
    }

    /// <summary>Removes a rank's files; who has them mapped keeps the memory.</summary>
    public static void Delete(string folder, int rank)
    {
        File.Delete(HeadPath(folder, rank));
        foreach (var name in Names) File.Delete(PathOf(folder, rank, name));
    }

    public SlotHeader Slot(SlotKind kind, int slot) => Header.Slot((int)kind * 2 + slot);

    public byte* Bytes(SlotKind kind, int slot) => slots[(int)kind * 2 + slot].Start;

    public long Capacity(SlotKind kind) => kind == SlotKind.Data ? Identity.DataCapacity : Identity.ParityCapacity;

    /// <summary>The bucket hashes of a slot.</summary>
    public Span<UInt128> Hashes(SlotKind kind, int slot)
    {
        var j = (int)kind * 2 + slot;
        return new(head.Start + HashOffset(Identity, j), SlotIdentity.BucketRoom(Capacity(kind)));
    }

    /// <summary>The seals of all data of the group at a data slot's step, as the coordinator told them at the commit; empty where it did not.</summary>
    public IReadOnlyList<SlotProof> Proofs(int slot)
    {
        var words = ProofWords(slot);
        if ((long)words[0] != Slot(SlotKind.Data, slot).Step) return [];
        var proofs = new List<SlotProof>();
        for (var member = 0; member < Identity.GroupSize; member++)
            if (words[1 + 3 * member] != 0) proofs.Add(new(member, (long)words[1 + 3 * member], new UInt128(words[2 + 3 * member], words[3 + 3 * member])));
        return proofs;
    }

    /// <summary>Keeps proofs beside a data slot.</summary>
    public void Keep(int slot, IReadOnlyList<SlotProof> proofs)
    {
        var words = ProofWords(slot);
        words.Clear();
        words[0] = (ulong)Slot(SlotKind.Data, slot).Step;
        foreach (var proof in proofs.Where(proof => proof.Member >= 0 && proof.Member < Identity.GroupSize))
            (words[1 + 3 * proof.Member], words[2 + 3 * proof.Member], words[3 + 3 * proof.Member]) = ((ulong)proof.BucketSize, (ulong)(proof.Seal >> 64), (ulong)proof.Seal);
    }

    /// <summary>The slot that holds a step, prepared or committed; −1 if none.</summary>
    public int Find(SlotKind kind, long step)
    {
        for (var slot = 0; slot < 2 && (kind == SlotKind.Data || Identity.Losses > 0); slot++)
            if (Slot(kind, slot).IsComplete && Slot(kind, slot).Step == step) return slot;
        return -1;
    }

    /// <summary>The data slot of the newest complete step; −1 if none.</summary>
    public int Newest()
    {
        var newest = -1;
        for (var slot = 0; slot < 2; slot++)
            if (Slot(SlotKind.Data, slot).IsComplete && (newest < 0 || Slot(SlotKind.Data, slot).Step > Slot(SlotKind.Data, newest).Step)) newest = slot;
        return newest;
    }

    /// <summary>The hash that seals a slot: over what it is, its step, and its bucket hashes. A torn header does not hold against it.</summary>
    public UInt128 SealOf(SlotKind kind, int slot)
    {
        var header = Slot(kind, slot);
        return SlotProof.SealOf(Identity, kind, header.Step, header.BucketSize, Hashes(kind, slot)[..(int)Math.Clamp(header.BucketCount, 0, SlotIdentity.BucketRoom(Capacity(kind)))]);
    }

    /// <summary>Whether a slot's header and bucket hashes are as they were sealed.</summary>
    public bool SealHolds(SlotKind kind, int slot)
    {
        var header = Slot(kind, slot);
        return header.BucketSize > 0 && header.BucketCount == (Capacity(kind) + header.BucketSize - 1) / header.BucketSize
            && header.BucketCount <= SlotIdentity.BucketRoom(Capacity(kind)) && header.Hash == SealOf(kind, slot);
    }

    /// <summary>Start and length of a bucket.</summary>
    public (long Offset, long Bytes) Bucket(SlotKind kind, int slot, long index)
    {
        var size = Slot(kind, slot).BucketSize;
        return (index * size, Math.Min(size, Capacity(kind) - index * size));
    }

    /// <summary>Whether a bucket's bytes still have their hash.</summary>
    public bool BucketHolds(SlotKind kind, int slot, long index)
    {
        var (offset, bytes) = Bucket(kind, slot, index);
        return BucketHash.Of(Bytes(kind, slot) + offset, bytes) == Hashes(kind, slot)[(int)index];
    }

    /// <summary>
    /// Shuts an earlier writer out: the header and the given data slots get new files. The others stay, since whoever is to be shut out had to
    /// ask before it could write there.
    /// </summary>
    /// <returns>What was replaced, for disposal once nobody reads it.</returns>
    public IReadOnlyList<IDisposable> Renew(ulong epoch, ReadOnlySpan<bool> dataSlots)
    {
        var old = head;
        var copy = MappedRegion.Create(old.Path, old.Bytes);
        Buffer.MemoryCopy(old.Start, copy.Start, copy.Bytes, old.Bytes);
        head = copy;
        var header = Header;
        header.Epoch = epoch;
        var replaced = new List<IDisposable> { old };
        for (var slot = 0; slot < 2; slot++)
        {
            if (!dataSlots[slot]) continue;
            replaced.Add(slots[slot]);
            slots[slot] = MappedRegion.Create(slots[slot].Path, slots[slot].Bytes);
        }
        return replaced;
    }

    public void Dispose()
    {
        head.Dispose();
        foreach (var slot in slots) slot.Dispose();
    }

    private static string PathOf(string folder, int rank, string name) => Path.Combine(folder, $"rank-{rank.ToString(CultureInfo.InvariantCulture)}.{name}");

    private static long Capacity(SlotIdentity identity, int j) => j < 2 ? identity.DataCapacity : identity.ParityCapacity;

    private static long HashOffset(SlotIdentity identity, int j)
    {
        var offset = (long)RankHeader.Size;
        for (var before = 0; before < j; before++) offset += 16L * SlotIdentity.BucketRoom(Capacity(identity, before));
        return offset;
    }

    private static long HeadBytes(SlotIdentity identity) => HashOffset(identity, 4) + 2L * ProofWordsOf(identity) * sizeof(ulong);

    private static int ProofWordsOf(SlotIdentity identity) => 1 + 3 * identity.GroupSize;

    private Span<ulong> ProofWords(int slot) => new(head.Start + HashOffset(Identity, 4) + slot * ProofWordsOf(Identity) * sizeof(ulong), ProofWordsOf(Identity));

    private void WriteHeader(ulong epoch)
    {
        var header = Header;
        header.Version = RankHeader.CurrentVersion;
        header.Rank = (uint)Identity.Rank;
        header.RunId = Identity.RunId;
        header.Epoch = epoch;
        header.LayoutHash = Identity.LayoutHash;
        header.SlotBytes = (ulong)Identity.Bytes;
        header.Flags = Identity.PackedGroup;
        for (var j = 0; j < 4; j++)
        {
            var slot = header.Slot(j);
            slot.Step = -1;
            slot.FirstBucketHash = HashOffset(Identity, j);
        }
        header.Magic = RankHeader.MagicValue;
    }
}

/// <summary>XXH128 of native memory.</summary>
internal static unsafe class BucketHash
{
    private const long Piece = 1 << 30;

    public static UInt128 Of(byte* start, long bytes)
    {
        if (bytes <= Piece) return XxHash128.HashToUInt128(new ReadOnlySpan<byte>(start, (int)bytes));
        var hash = new XxHash128();
        for (var done = 0L; done < bytes; done += Piece) hash.Append(new ReadOnlySpan<byte>(start + done, (int)Math.Min(Piece, bytes - done)));
        return hash.GetCurrentHashAsUInt128();
    }
}
