using System.Diagnostics;
using System.Runtime.InteropServices;
using Perennial.Resilience.Coding;

namespace Perennial.Resilience.Snapshots;

/// <summary>How a rank's state came back.</summary>
/// <param name="Step">The step.</param>
/// <param name="Source">The last resort that was needed; <see cref="RestoreSource.Disk"/> means that nothing was restored here.</param>
/// <param name="RepairedChunks">Data chunks of the group's code that were rebuilt or fetched.</param>
/// <param name="FetchedBytes">Bytes read from other ranks' managers.</param>
/// <param name="Elapsed">Time taken.</param>
/// <param name="Lines">The decisions in words.</param>
public sealed record RestoreReport(long Step, RestoreSource Source, int RepairedChunks, long FetchedBytes, TimeSpan Elapsed, IReadOnlyList<string> Lines);

/// <summary>
/// Brings one rank's state back: own memory (mapped here, or read from its manager), then a replica, then parity, else disk (paper 02 §5). Every byte is verified against its hash
/// before it is used; a bucket that does not hold is a loss of the chunks it touches, not data.
/// </summary>
/// <param name="identity">Whose state.</param>
/// <param name="group">The rank's group.</param>
/// <param name="managers">The manager of each rank that still has one.</param>
/// <param name="timeout">How long a manager may take to answer.</param>
public sealed unsafe class SnapshotRestore(SlotIdentity identity, ShardingGroup group, IReadOnlyDictionary<int, SnapshotEndpoint> managers, TimeSpan timeout)
{
    /// <summary>What the rank had at the step, where that is known: what is rebuilt must have it. Without it (no commit told it), and without the own slot's hashes, a repair is not proven.</summary>
    public SlotProof? Proof { get; init; }

    /// <summary>Whether a repair that nothing proves is refused.</summary>
    public bool OnlyProven { get; init; }

    // Pieces in which stripes are read and decoded; within what one READ may give.
    private const int Piece = 4 << 20;
    private readonly List<string> lines = [];
    private long fetched;

    /// <summary>Restores.</summary>
    /// <param name="step">The step, from <see cref="RestoreChoice"/>.</param>
    /// <param name="agent">The rank's agent, whose memory may still hold the step; null where the node is new.</param>
    /// <param name="destination">Where to: as many bytes as the identity says. Its content is undefined where the report says disk.</param>
    public RestoreReport Run(long step, SnapshotAgent? agent, nint destination)
    {
        using var own = agent?.OpenMemory();
        return Restore(step, own, destination);
    }

    /// <summary>Restores, with memory of the rank that is mapped here; null where none is.</summary>
    internal RestoreReport Restore(long step, SharedSlot? own, nint destination)
    {
        var start = Stopwatch.GetTimestamp();
        lines.Clear();
        fetched = 0;
        var slot = own is null || own.Identity != identity ? -1 : own.Find(SlotKind.Data, step);
        if (slot >= 0 && !own!.SealHolds(SlotKind.Data, slot))
        {
            lines.Add("the header of the own slot does not hold");
            slot = -1;
        }
        var chunks = (int)(identity.DataCapacity / identity.ChunkBytes);
        var lost = slot >= 0 ? CopyOwn(own!, slot, (byte*)destination) : [.. Enumerable.Range(0, chunks)];
        if (slot < 0) FromManager(step, lost, (byte*)destination);
        if (slot < 0 && lost.Count == chunks) lines.Add($"no manager has a sound slot of step {step} of {SnapshotSlices.NameOf(identity.Rank)}");
        var repaired = lost.Count;
        var source = lost.Count == 0 ? RestoreSource.OwnMemory
            : FromReplica(step, group.Replicas.GetValueOrDefault(identity.Rank) ?? [], lost, (byte*)destination) ? RestoreSource.Replica
            : FromParity(step, lost, own, slot, (byte*)destination) ? RestoreSource.Parity
            : RestoreSource.Disk;
        lines.Add(source == RestoreSource.Disk ? $"step {step} of {SnapshotSlices.NameOf(identity.Rank)} is lost; the disk checkpoint is needed" : $"step {step} of {SnapshotSlices.NameOf(identity.Rank)} restored from {RestoreChoice.Name(source)}");
        return new(step, source, source == RestoreSource.Disk ? 0 : repaired, fetched, Stopwatch.GetElapsedTime(start), [.. lines]);
    }

    /// <summary>Copies what holds; returns the chunks that a damaged bucket touches.</summary>
    private SortedSet<int> CopyOwn(SharedSlot own, int slot, byte* destination)
    {
        var lost = new SortedSet<int>();
        for (var index = 0L; index < own.Slot(SlotKind.Data, slot).BucketCount; index++)
        {
            var (offset, bytes) = own.Bucket(SlotKind.Data, slot, index);
            // What is verified is the copy: a bit that flips after it does no harm.
            var copied = Math.Clamp(identity.Bytes - offset, 0, bytes);
            Buffer.MemoryCopy(own.Bytes(SlotKind.Data, slot) + offset, destination + offset, copied, copied);
            var holds = copied == bytes ? BucketHash.Of(destination + offset, bytes) == own.Hashes(SlotKind.Data, slot)[(int)index] : own.BucketHolds(SlotKind.Data, slot, index);
            if (holds) continue;
            for (var chunk = offset / identity.ChunkBytes; chunk * identity.ChunkBytes < offset + bytes; chunk++) lost.Add((int)chunk);
            lines.Add($"bucket {index} of the own slot is damaged");
        }
        return lost;
    }

    /// <summary>Where the memory is not mapped here: what its own manager gives of it. The manager verifies every bucket before it sends.</summary>
    private void FromManager(long step, SortedSet<int> lost, byte* destination)
    {
        if (!managers.TryGetValue(identity.Rank, out var endpoint)) return;
        try
        {
            using var client = SnapshotClient.Connect(endpoint, identity.RunId, timeout);
            foreach (var chunk in lost.ToList())
            {
                try
                {
                    ReadChunk(client, identity.Rank, step, chunk, destination);
                    lost.Remove(chunk);
                }
                catch (SnapshotRefusedException refused)
                {
                    lines.Add(refused.Message);
                }
            }
        }
        catch (Exception error) when (error is IOException or SnapshotRefusedException)
        {
            lines.Add($"the manager of {SnapshotSlices.NameOf(identity.Rank)} does not answer: {error.Message}");
        }
    }

    private void ReadChunk(SnapshotClient client, int rank, long step, int chunk, byte* destination)
    {
        for (var (at, end) = (chunk * identity.ChunkBytes, Math.Min(identity.Bytes, (chunk + 1) * identity.ChunkBytes)); at < end; at += Piece)
        {
            var bytes = (int)Math.Min(Piece, end - at);
            client.Read(rank, SlotKind.Data, step, at, new(destination + at, bytes));
            fetched += bytes;
        }
    }

    private bool FromReplica(long step, IReadOnlyList<int> replicas, SortedSet<int> lost, byte* destination)
    {
        foreach (var replica in replicas.Where(rank => rank != identity.Rank && managers.ContainsKey(rank)))
        {
            try
            {
                using var client = SnapshotClient.Connect(managers[replica], identity.RunId, timeout);
                foreach (var chunk in lost) ReadChunk(client, replica, step, chunk, destination);
                return true;
            }
            catch (Exception error) when (error is IOException or SnapshotRefusedException)
            {
                lines.Add($"the replica of {SnapshotSlices.NameOf(replica)} cannot be used: {error.Message}");
            }
        }
        return false;
    }

    private bool FromParity(long step, SortedSet<int> lost, SharedSlot? own, int slot, byte* destination)
    {
        if (group.Placement is not { } placement) return false;
        var me = identity.GroupIndex;
        var unusable = new HashSet<GroupChunk>(placement.ChunksOf(me).Where(chunk => chunk.IsParity || lost.Contains(chunk.Index)));
        using var peers = new RestorePeers(group, managers, identity.RunId, timeout);
        var left = new SortedSet<int>(lost);
        while (left.Count > 0)
        {
            var plan = RepairPlan.For(placement, unusable.Contains, chunk => chunk.Rank == me && !chunk.IsParity && left.Contains(chunk.Index));
            if (plan is null)
            {
                lines.Add($"too much of step {step} is lost for the group's parity");
                return false;
            }
            foreach (var repair in plan.Stripes)
            {
                if (Rebuild(step, placement, repair, peers, unusable, destination) is not { } chunk) break; // plan anew without the source that failed
                left.Remove(chunk);
            }
        }
        fetched += peers.FetchedBytes;
        if (slot >= 0) return Proves(own!, slot, lost, destination);
        if (Proof is null)
        {
            lines.Add($"nothing proves what parity gives for step {step}: its commit was not told{(OnlyProven ? "" : "; it is taken as it is")}");
            return !OnlyProven;
        }
        if (Proof.Holds(identity, step, destination)) return true;
        lines.Add($"what parity gives for step {step} is not what was there: the parity, or what it was made of, was damaged before it was hashed");
        return false;
    }

    /// <summary>Rebuilds the one chunk of this rank in a stripe; null where a source failed, which is then marked unusable.</summary>
    private int? Rebuild(long step, StripePlacement placement, StripeRepair repair, RestorePeers peers, HashSet<GroupChunk> unusable, byte* destination)
    {
        var members = placement.Stripe(repair.Stripe).ToArray();
        var wanted = repair.Lost[0];
        var chunk = members[wanted].Index;
        var code = ErasureCode.Create(placement.DataChunks, placement.Losses);
        var piece = (int)Math.Min(Piece, identity.ChunkBytes);
        var buffers = members.Select((member, index) => index == wanted || repair.Sources.Contains(member) ? (nint)NativeMemory.AlignedAlloc((nuint)piece, 64) : 0).ToArray();
        try
        {
            for (var offset = 0L; offset < identity.ChunkBytes; offset += piece)
            {
                var bytes = (int)Math.Min(piece, identity.ChunkBytes - offset);
                foreach (var source in repair.Sources)
                {
                    if (peers.TryRead(source, step, source.Index * identity.ChunkBytes + offset, new((void*)buffers[Array.IndexOf(members, source)], bytes), out var problem)) continue;
                    lines.Add(problem);
                    if (peers.IsGone(source.Rank)) unusable.UnionWith(placement.ChunksOf(source.Rank));
                    unusable.Add(source);
                    return null;
                }
                code.Decode(buffers, [wanted], bytes);
                var at = chunk * identity.ChunkBytes + offset;
                var copied = Math.Clamp(identity.Bytes - at, 0, bytes);
                if (copied > 0) Buffer.MemoryCopy((void*)buffers[wanted], destination + at, copied, copied);
            }
            return chunk;
        }
        finally
        {
            foreach (var buffer in buffers) NativeMemory.AlignedFree((void*)buffer);
        }
    }

    /// <summary>Where the own bucket hashes survived, what was rebuilt must have them.</summary>
    private bool Proves(SharedSlot own, int slot, SortedSet<int> lost, byte* destination)
    {
        for (var index = 0L; index < own.Slot(SlotKind.Data, slot).BucketCount; index++)
        {
            var (offset, bytes) = own.Bucket(SlotKind.Data, slot, index);
            // The padding behind the state is not in the destination.
            if (offset + bytes > identity.Bytes || !Enumerable.Range((int)(offset / identity.ChunkBytes), (int)((offset + bytes - 1) / identity.ChunkBytes - offset / identity.ChunkBytes) + 1).Any(lost.Contains)) continue;
            if (BucketHash.Of(destination + offset, bytes) == own.Hashes(SlotKind.Data, slot)[(int)index]) continue;
            lines.Add($"bucket {index} still does not hold after its repair");
            return false;
        }
        return true;
    }
}

/// <summary>Connections to the other members' managers while a rank is restored.</summary>
internal sealed class RestorePeers(ShardingGroup group, IReadOnlyDictionary<int, SnapshotEndpoint> managers, Guid runId, TimeSpan timeout) : IDisposable
{
    private readonly Dictionary<int, SnapshotClient?> clients = [];

    public long FetchedBytes { get; private set; }

    /// <summary>Whether a member's manager does not answer.</summary>
    public bool IsGone(int member) => clients.TryGetValue(member, out var client) && client is null;

    public bool TryRead(GroupChunk chunk, long step, long offset, Span<byte> destination, out string problem)
    {
        var rank = group.Ranks[chunk.Rank];
        problem = "";
        try
        {
            if (!clients.TryGetValue(chunk.Rank, out var client))
            {
                clients[chunk.Rank] = null;
                if (!managers.TryGetValue(rank, out var endpoint)) throw new IOException("it has no manager");
                clients[chunk.Rank] = client = SnapshotClient.Connect(endpoint, runId, timeout);
            }
            if (client is null) throw new IOException("its manager is gone");
            client.Read(rank, chunk.IsParity ? SlotKind.Parity : SlotKind.Data, step, offset, destination);
            FetchedBytes += destination.Length;
            return true;
        }
        catch (SnapshotRefusedException refused)
        {
            problem = refused.Message;
        }
        catch (IOException error)
        {
            if (clients.TryGetValue(chunk.Rank, out var broken)) broken?.Dispose();
            clients[chunk.Rank] = null;
            problem = $"{SnapshotSlices.NameOf(rank)} cannot be read: {error.Message}";
        }
        return false;
    }

    public void Dispose()
    {
        foreach (var client in clients.Values) client?.Dispose();
    }
}
