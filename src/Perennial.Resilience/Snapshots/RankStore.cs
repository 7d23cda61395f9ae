using System.Globalization;
using Perennial.Resilience.Coding;

namespace Perennial.Resilience.Snapshots;

/// <summary>
/// The manager's side of one rank: who may write, what each slot holds, and the order of states (paper 02 §3). Every method is atomic;
/// a request that may not be served throws <see cref="SnapshotRefusedException"/> and changes nothing.
/// </summary>
internal sealed unsafe partial class RankStore : IDisposable
{
    private readonly Lock gate = new();
    private readonly RankStoreOptions options;
    private readonly bool[] landed = new bool[2], dirty = new bool[2];
    private readonly int[] pins = new int[4];
    private readonly bool[]?[] bucketsSeen = new bool[]?[2];
    private readonly List<IDisposable> retired = [];
    private SharedSlot current;
    private bool closed;
    private object? owner;
    private long lastSign;
    private ulong joined;
    private long aborted = -1;
    private string problem = "";

    private RankStore(SharedSlot memory, RankStoreOptions options) => (current, this.options) = (memory, options);

    public int Rank => current.Identity.Rank;

    private SharedSlot Memory => closed ? throw new SnapshotRefusedException(RefusalReason.NotFound, $"{SnapshotSlices.NameOf(Rank)} is retired") : current;

    /// <summary>Takes over what an earlier manager of the same run left. Null where that is nothing sound.</summary>
    public static RankStore? Adopt(string folder, int rank, Guid runId, RankStoreOptions options)
    {
        if (SharedSlot.TryOpen(folder, rank, runId, out _) is not { } memory) return null;
        var store = new RankStore(memory, options);
        for (var slot = 0; slot < 2; slot++)
        {
            // A trainer of the earlier manager may still write where nothing was complete.
            store.dirty[slot] = true;
            foreach (var kind in memory.Identity.Losses > 0 ? new[] { SlotKind.Data, SlotKind.Parity } : [SlotKind.Data])
                if (!memory.Slot(kind, slot).IsComplete || !memory.SealHolds(kind, slot)) Clear(memory.Slot(kind, slot));
            store.landed[slot] = memory.Slot(SlotKind.Data, slot).IsComplete;
        }
        return store;
    }

    /// <summary>Fresh memory for a rank's first trainer.</summary>
    public static RankStore Create(string folder, HelloMessage hello, RankStoreOptions options) => new(Allocate(folder, hello), options);

    /// <summary>A trainer takes the rank. A newer epoch fences the older writer; an equal one is refused while that writer lives.</summary>
    public void Hello(string folder, HelloMessage hello, object session)
    {
        lock (gate)
        {
            CheckEpoch(hello.Epoch);
            if (owner is not null && hello.Epoch == Memory.Header.Epoch && !LeaseIsOver())
                throw new SnapshotRefusedException(RefusalReason.Busy, $"{SnapshotSlices.NameOf(Rank)} has a living trainer (process {Memory.Header.TrainerPid}) of the same epoch");
            DropWriting();
            if (hello.Identity == Memory.Identity)
            {
                bool[] renew = [dirty[0] && !Memory.Slot(SlotKind.Data, 0).IsComplete, dirty[1] && !Memory.Slot(SlotKind.Data, 1).IsComplete];
                if (hello.Epoch > joined) ForgetUnfinished(hello.Restored);
                Replace(Renew(hello.Epoch, renew));
                for (var slot = 0; slot < 2; slot++) dirty[slot] &= !renew[slot];
            }
            else
            {
                // Another layout or group: nothing of the old memory can be used.
                Replace([current]);
                for (var slot = 0; slot < 2; slot++) (landed[slot], dirty[slot], accumulators[slot]) = (false, false, null);
                aborted = -1;
                current = Allocate(folder, hello);
            }
            var header = Memory.Header;
            header.TrainerPid = (uint)hello.Pid;
            (owner, joined, lastSign, problem) = (session, hello.Epoch, options.Time.GetTimestamp(), "");
            SetGroup(hello.Group);
        }
    }

    /// <summary>The trainer's connection closed: what it had not finished is given up; what has landed goes on to be prepared.</summary>
    public void Detach(object session)
    {
        lock (gate)
        {
            if (closed || owner != session) return;
            owner = null;
            DropWriting();
        }
    }

    /// <summary>Ends the lease of a trainer that has shown no sign of life for too long.</summary>
    public void CheckLease()
    {
        lock (gate)
        {
            if (closed || owner is null || !LeaseIsOver()) return;
            owner = null;
            problem = string.Create(CultureInfo.InvariantCulture, $"the trainer of {SnapshotSlices.NameOf(Rank)} was silent for more than {options.Lease.TotalSeconds:0.#} s");
            DropWriting();
        }
    }

    public void Begin(StepMessage message, int slot, long bucketSize, object session)
    {
        lock (gate)
        {
            CheckOwner(message.Epoch, session);
            if (slot is not (0 or 1)) throw new SnapshotRefusedException(RefusalReason.Invalid, $"there is no slot {slot}");
            var (mine, other) = (Memory.Slot(SlotKind.Data, slot), Memory.Slot(SlotKind.Data, 1 - slot));
            for (var each = 0; each < 2; each++)
                if (Memory.Slot(SlotKind.Data, each) is { State: SlotState.Writing or SlotState.Prepared } open)
                    throw new SnapshotRefusedException(RefusalReason.Busy, $"step {open.Step} is not committed yet");
            if (slot == Memory.Newest()) throw new SnapshotRefusedException(RefusalReason.Invalid, $"slot {slot} holds the newest step, {mine.Step}");
            if (message.Step <= aborted || (other.IsComplete && message.Step <= other.Step))
                throw new SnapshotRefusedException(RefusalReason.Invalid, $"step {message.Step} is not newer than what was taken or given up");
            if (pins[slot] > 0) throw new SnapshotRefusedException(RefusalReason.Busy, $"slot {slot} is being read");
            if (bucketSize != SlotIdentity.FittingBucket(bucketSize, Memory.Identity.DataCapacity))
                throw new SnapshotRefusedException(RefusalReason.Invalid, $"buckets of {bucketSize} bytes do not fit");
            mine.State = SlotState.Empty;
            mine.Step = message.Step;
            mine.BucketSize = bucketSize;
            mine.BucketCount = (Memory.Identity.DataCapacity + bucketSize - 1) / bucketSize;
            mine.Hash = 0;
            mine.WallClock = options.Time.GetUtcNow().Ticks;
            (landed[slot], dirty[slot], bucketsSeen[slot]) = (false, true, new bool[mine.BucketCount]);
            mine.State = SlotState.Writing;
        }
    }

    /// <summary>
    /// A bucket landed. Where parity is made of it the manager hashes what is there, not what was sent, and a difference gives the snapshot up.
    /// Without parity nothing is made of it: it is hashed when it is read, and what does not have the sender's hash is not restored.
    /// </summary>
    public void Bucket(StepMessage message, long index, UInt128 hash, object session)
    {
        lock (gate)
        {
            CheckOwner(message.Epoch, session);
            var slot = Writing(message.Step);
            var seen = bucketsSeen[slot]!;
            if (index < 0 || index >= seen.Length) throw new SnapshotRefusedException(RefusalReason.Invalid, $"there is no bucket {index}");
            var (offset, bytes) = Memory.Bucket(SlotKind.Data, slot, index);
            if (Memory.Identity.Losses > 0 && BucketHash.Of(Memory.Bytes(SlotKind.Data, slot) + offset, bytes) != hash)
            {
                GiveUp(slot);
                throw new SnapshotRefusedException(RefusalReason.Damaged, $"bucket {index} of step {message.Step} landed with another hash");
            }
            Memory.Hashes(SlotKind.Data, slot)[(int)index] = hash;
            seen[index] = true;
        }
    }

    /// <summary>The trainer has copied everything.</summary>
    /// <returns>True when parity is to be sent now.</returns>
    public bool Prepared(StepMessage message, object session)
    {
        lock (gate)
        {
            CheckOwner(message.Epoch, session);
            var slot = Writing(message.Step);
            if (Array.IndexOf(bucketsSeen[slot]!, false) is >= 0 and var missing)
                throw new SnapshotRefusedException(RefusalReason.Invalid, $"bucket {missing} of step {message.Step} never landed");
            Seal(SlotKind.Data, slot);
            landed[slot] = true;
            FinishIfReady(slot);
            return group is { Lag: 0 };
        }
    }

    /// <param name="message">Rank, epoch, step.</param>
    /// <param name="proofs">What the group's members have at the step, as far as the coordinator knows.</param>
    public void Commit(StepMessage message, IReadOnlyList<SlotProof> proofs)
    {
        lock (gate)
        {
            Advance(message.Epoch);
            var slot = Memory.Find(SlotKind.Data, message.Step);
            if (slot < 0) throw new SnapshotRefusedException(RefusalReason.NotFound, $"{SnapshotSlices.NameOf(Rank)} is not prepared for step {message.Step}");
            var (data, parity) = (Memory.Slot(SlotKind.Data, slot), Memory.Slot(SlotKind.Parity, slot));
            if (Memory.Identity.Losses > 0 && parity.State == SlotState.Prepared && parity.Step == message.Step) parity.State = SlotState.Committed;
            // A later coordinator that knows less takes nothing away.
            if (proofs.Count > Memory.Proofs(slot).Count) Memory.Keep(slot, proofs);
            data.State = SlotState.Committed;
        }
    }

    /// <summary>Gives a step up and keeps it from being begun again until a trainer of a newer epoch joins.</summary>
    /// <param name="message">Rank, epoch, step.</param>
    /// <param name="onlyUnprepared">Refuse where the step is prepared: then it could have been committed by another coordinator.</param>
    public void Abort(StepMessage message, bool onlyUnprepared)
    {
        lock (gate)
        {
            Advance(message.Epoch);
            var prepared = Memory.Find(SlotKind.Data, message.Step);
            if (onlyUnprepared && prepared >= 0) throw new SnapshotRefusedException(RefusalReason.Busy, $"{SnapshotSlices.NameOf(Rank)} is prepared for step {message.Step}");
            for (var slot = 0; slot < 2; slot++)
            {
                var (data, parity) = (Memory.Slot(SlotKind.Data, slot), Memory.Slot(SlotKind.Parity, slot));
                if ((data.Step == message.Step && pins[slot] > 0) || (parity.Step == message.Step && pins[2 + slot] > 0))
                    throw new SnapshotRefusedException(RefusalReason.Busy, $"slot {slot} is being read");
            }
            for (var slot = 0; slot < 2; slot++)
            {
                if (Memory.Slot(SlotKind.Data, slot).Step == message.Step) GiveUp(slot);
                if (Memory.Identity.Losses > 0 && Memory.Slot(SlotKind.Parity, slot).Step == message.Step) ClearParity(slot);
            }
            aborted = Math.Max(aborted, message.Step);
        }
    }

    public RankInventory Inventory()
    {
        lock (gate)
        {
            var slots = new List<SlotReport>();
            foreach (var kind in Memory.Identity.Losses > 0 ? new[] { SlotKind.Data, SlotKind.Parity } : [SlotKind.Data])
                for (var slot = 0; slot < 2; slot++)
                {
                    var header = Memory.Slot(kind, slot);
                    var state = header.IsComplete && !Memory.SealHolds(kind, slot) ? SlotState.Empty : header.State;
                    var whole = kind == SlotKind.Data && state >= SlotState.Prepared;
                    slots.Add(new(kind, slot, state, state == SlotState.Empty ? -1 : header.Step, kind == SlotKind.Data && landed[slot],
                        whole ? new(Memory.Identity.GroupIndex, header.BucketSize, header.Hash) : null, whole ? Memory.Proofs(slot) : []));
                }
            return new(Memory.Identity, Memory.Header.Epoch, owner is not null, aborted, problem, slots);
        }
    }

    /// <summary>Keeps a complete slot from being overwritten while it is read.</summary>
    public SlotLease Pin(SlotKind kind, long step)
    {
        lock (gate)
        {
            var slot = Memory.Find(kind, step);
            if (slot < 0) throw new SnapshotRefusedException(RefusalReason.NotFound, $"{SnapshotSlices.NameOf(Rank)} has no {kind.ToString().ToLowerInvariant()} of step {step}");
            if (!Memory.SealHolds(kind, slot)) throw new SnapshotRefusedException(RefusalReason.Damaged, $"the header of {SnapshotSlices.NameOf(Rank)}'s step {step} does not hold");
            pins[(int)kind * 2 + slot]++;
            return new(Memory, kind, slot, () => Unpin((int)kind * 2 + slot));
        }
    }

    public void Tell(string text)
    {
        lock (gate) problem = text;
    }

    public void Dispose()
    {
        lock (gate)
        {
            if (closed) return;
            (closed, owner) = (true, null);
            Replace([current]);
        }
    }

    private static SharedSlot Allocate(string folder, HelloMessage hello)
    {
        var identity = hello.Identity;
        if (identity.Bytes < 1 || identity.GroupSize is < 1 or > 255 || identity.Losses < 0 || (identity.Losses > 0 && identity.Losses >= identity.GroupSize)
            || (hello.Group?.Ranks.Count ?? 1) != identity.GroupSize || (hello.Group?.Losses ?? 0) != identity.Losses || identity.GroupIndex < 0 || identity.GroupIndex >= identity.GroupSize)
            throw new SnapshotRefusedException(RefusalReason.Invalid, $"{SnapshotSlices.NameOf(identity.Rank)} asks for memory of an impossible shape");
        var room = new DriveInfo(folder).AvailableFreeSpace;
        if (room < identity.TotalBytes)
            throw new SnapshotRefusedException(RefusalReason.NoRoom, $"snapshots of {SnapshotSlices.NameOf(identity.Rank)} need {identity.TotalBytes >> 20} MiB in {folder}, which has {room >> 20} MiB free");
        try
        {
            return SharedSlot.Create(folder, identity, hello.Epoch);
        }
        catch (IOException error)
        {
            throw new SnapshotRefusedException(RefusalReason.NoRoom, $"snapshots of {SnapshotSlices.NameOf(identity.Rank)} need {identity.TotalBytes >> 20} MiB in {folder}: {error.Message}");
        }
    }

    private static void Clear(SlotHeader header)
    {
        header.State = SlotState.Empty;
        header.Step = -1;
    }

    private bool LeaseIsOver()
    {
        var sign = Math.Max(lastSign, (long)Memory.Header.Heartbeat);
        return options.Time.GetElapsedTime(sign) > options.Lease;
    }

    private void CheckEpoch(ulong epoch)
    {
        if (epoch < Memory.Header.Epoch)
            throw new SnapshotRefusedException(RefusalReason.Fenced, $"epoch {epoch} of {SnapshotSlices.NameOf(Rank)} is over; the membership is at {Memory.Header.Epoch}");
    }

    /// <summary>A coordinator of a newer epoch shuts the older trainer out before the new one has come.</summary>
    private void Advance(ulong epoch)
    {
        CheckEpoch(epoch);
        if (epoch == Memory.Header.Epoch) return;
        var header = Memory.Header;
        header.Epoch = epoch;
        owner = null;
        DropWriting();
    }

    private void CheckOwner(ulong epoch, object session)
    {
        CheckEpoch(epoch);
        if (owner != session) throw new SnapshotRefusedException(RefusalReason.Fenced, $"this trainer no longer has {SnapshotSlices.NameOf(Rank)}; it must attach again");
    }

    private int Writing(long step)
    {
        for (var slot = 0; slot < 2; slot++)
            if (Memory.Slot(SlotKind.Data, slot) is { State: SlotState.Writing } header && header.Step == step && !landed[slot]) return slot;
        throw new SnapshotRefusedException(RefusalReason.NotFound, $"{SnapshotSlices.NameOf(Rank)} is not writing step {step}");
    }

    private void Seal(SlotKind kind, int slot)
    {
        var header = Memory.Slot(kind, slot);
        header.Hash = Memory.SealOf(kind, slot);
    }

    /// <summary>
    /// A new epoch may take the same steps again with other bytes: of the old ones only complete slots up to the restored step stay, and that
    /// step counts as committed: it was chosen, so what ranks lack of it can be made from what the others hold.
    /// </summary>
    private void ForgetUnfinished(long? restored)
    {
        aborted = -1;
        for (var slot = 0; slot < 2; slot++)
        {
            var data = Memory.Slot(SlotKind.Data, slot);
            if (data.State == SlotState.Prepared && data.Step == restored) data.State = SlotState.Committed;
            if (!data.IsComplete || data.Step > restored)
            {
                Clear(data);
                landed[slot] = false;
            }
            if (Memory.Identity.Losses > 0 && !(data.IsComplete && Memory.Find(SlotKind.Parity, data.Step) == slot)) ClearParity(slot);
        }
    }

    private void DropWriting()
    {
        for (var slot = 0; slot < 2; slot++)
            if (Memory.Slot(SlotKind.Data, slot).State == SlotState.Writing && !landed[slot]) GiveUp(slot);
    }

    private void GiveUp(int slot)
    {
        var header = Memory.Slot(SlotKind.Data, slot);
        aborted = Math.Max(aborted, header.Step);
        Clear(header);
        landed[slot] = false;
    }

    private void Replace(IReadOnlyList<IDisposable> replaced)
    {
        retired.AddRange(replaced);
        DisposeRetired();
    }

    private void Unpin(int pin)
    {
        lock (gate)
        {
            pins[pin]--;
            DisposeRetired();
        }
    }

    private IReadOnlyList<IDisposable> Renew(ulong epoch, bool[] dataSlots)
    {
        try
        {
            return Memory.Renew(epoch, dataSlots);
        }
        catch (IOException error)
        {
            throw new SnapshotRefusedException(RefusalReason.NoRoom, $"the memory of {SnapshotSlices.NameOf(Rank)} cannot be renewed: {error.Message}");
        }
    }

    private void DisposeRetired()
    {
        if (pins.Any(count => count > 0)) return;
        foreach (var old in retired) old.Dispose();
        retired.Clear();
    }
}
