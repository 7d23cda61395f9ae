using Perennial.Resilience.Coding;

namespace Perennial.Resilience.Snapshots;

/// <summary>The part of a rank that has to do with parity: what it sends of its data, and what it gathers for its stripes.</summary>
internal sealed unsafe partial class RankStore
{
    private readonly ParityAccumulator?[] accumulators = new ParityAccumulator?[2];
    private GroupMembers? group;
    private IErasureCode? code;

    /// <summary>The group as last configured.</summary>
    public GroupMembers? Group
    {
        get
        {
            lock (gate) return group;
        }
    }

    public SlotIdentity Identity
    {
        get
        {
            lock (gate) return Memory.Identity;
        }
    }

    /// <summary>New addresses of the group's managers.</summary>
    public void Configure(ulong epoch, GroupMembers? members)
    {
        lock (gate)
        {
            CheckEpoch(epoch);
            SetGroup(members);
        }
    }

    /// <summary>Whether a step has landed and its parity is to be sent (again, after a loss of peers).</summary>
    public bool CanEncode(StepMessage message)
    {
        lock (gate)
        {
            CheckEpoch(message.Epoch);
            return group is not null && LandedSlot(message.Step) >= 0;
        }
    }

    /// <summary>
    /// Copies a piece of one of the own data chunks; false where the step was given up, so that a sender never sends what a later snapshot
    /// has written over it.
    /// </summary>
    public bool TryCopyPiece(ulong epoch, long step, int chunk, long offset, Span<byte> piece)
    {
        lock (gate)
        {
            var slot = LandedSlot(step);
            if (slot < 0 || Memory.Header.Epoch != epoch) return false;
            new ReadOnlySpan<byte>(Memory.Bytes(SlotKind.Data, slot) + chunk * Memory.Identity.ChunkBytes + offset, piece.Length).CopyTo(piece);
            return true;
        }
    }

    /// <summary>Adds a peer's share to the parity that this rank holds.</summary>
    public void Share(ShareMessage share, ReadOnlySpan<byte> piece)
    {
        lock (gate)
        {
            CheckEpoch(share.Epoch);
            if (share.Epoch > Memory.Header.Epoch) throw new SnapshotRefusedException(RefusalReason.Busy, $"{SnapshotSlices.NameOf(Rank)} has not joined epoch {share.Epoch} yet");
            if (Memory.Identity.Placement is not { } placement || code is null) throw new SnapshotRefusedException(RefusalReason.Invalid, $"{SnapshotSlices.NameOf(Rank)} holds no parity");
            var chunkBytes = Memory.Identity.ChunkBytes;
            if (share.Parity < 0 || share.Parity >= placement.Losses || share.Chunk < 0 || share.Chunk >= placement.DataChunks || share.Offset < 0 || share.Offset % options.PieceBytes != 0
                || share.Offset >= chunkBytes || piece.Length != Math.Min(options.PieceBytes, chunkBytes - share.Offset)
                || placement.DataRank(placement.StripeOf(new(Memory.Identity.GroupIndex, true, share.Parity)), share.Chunk) != share.FromIndex)
                throw new SnapshotRefusedException(RefusalReason.Invalid, $"a share of step {share.Step} does not belong to {SnapshotSlices.NameOf(Rank)}");
            if (share.Step <= aborted) throw new SnapshotRefusedException(RefusalReason.Fenced, $"step {share.Step} was given up");
            if (Memory.Find(SlotKind.Parity, share.Step) >= 0) return; // complete: a repeated share
            var slot = ParitySlot(share.Step);
            var sum = accumulators[slot]!;
            if (!sum.Claim(share.Parity, share.Chunk, (int)(share.Offset / options.PieceBytes))) return;
            fixed (byte* source = piece)
                code.MultiplyAdd(share.Parity, share.Chunk, (nint)source, (nint)(Memory.Bytes(SlotKind.Parity, slot) + share.Parity * chunkBytes + share.Offset), piece.Length);
            if (sum.IsComplete) SealParity(slot);
        }
    }

    private void SetGroup(GroupMembers? members)
    {
        if ((members?.Ranks.Count ?? 1) != Memory.Identity.GroupSize || (members?.Losses ?? 0) != Memory.Identity.Losses)
            throw new SnapshotRefusedException(RefusalReason.Invalid, $"the group does not have the shape that {SnapshotSlices.NameOf(Rank)}'s memory was made for");
        group = members;
        code = Memory.Identity.Placement is { } placement ? ErasureCode.Create(placement.DataChunks, placement.Losses) : null;
    }

    private int LandedSlot(long step)
    {
        for (var slot = 0; slot < 2; slot++)
            if (landed[slot] && Memory.Slot(SlotKind.Data, slot) is { State: not SlotState.Empty } header && header.Step == step) return slot;
        return -1;
    }

    /// <summary>
    /// The parity slot that gathers a step. Shares may come before this rank's own BEGIN: their sender saw the commit of the step before, so
    /// every rank is prepared for that one, and the slot beside it is free.
    /// </summary>
    private int ParitySlot(long step)
    {
        for (var slot = 0; slot < 2; slot++)
            if (accumulators[slot]?.Step == step) return slot;
        var newest = Memory.Newest();
        if (newest >= 0 && Memory.Slot(SlotKind.Data, newest).Step >= step)
            throw new SnapshotRefusedException(RefusalReason.Fenced, $"step {step} is older than {SnapshotSlices.NameOf(Rank)}'s step {Memory.Slot(SlotKind.Data, newest).Step}");
        var target = newest < 0 ? 0 : 1 - newest;
        if (accumulators[target] is { } open && open.Step > step) throw new SnapshotRefusedException(RefusalReason.Fenced, $"{SnapshotSlices.NameOf(Rank)} gathers parity of step {open.Step} already");
        if (pins[2 + target] > 0) throw new SnapshotRefusedException(RefusalReason.Busy, $"parity slot {target} is being read");
        var header = Memory.Slot(SlotKind.Parity, target);
        header.State = SlotState.Empty;
        header.Step = step;
        header.BucketSize = SlotIdentity.FittingBucket(options.PieceBytes, Memory.Identity.ParityCapacity);
        header.BucketCount = (Memory.Identity.ParityCapacity + header.BucketSize - 1) / header.BucketSize;
        header.Hash = 0;
        header.WallClock = options.Time.GetUtcNow().Ticks;
        System.Runtime.InteropServices.NativeMemory.Clear(Memory.Bytes(SlotKind.Parity, target), (nuint)Memory.Identity.ParityCapacity);
        header.State = SlotState.Writing;
        var pieces = (int)((Memory.Identity.ChunkBytes + options.PieceBytes - 1) / options.PieceBytes);
        accumulators[target] = new(step, Memory.Identity.Losses, Memory.Identity.Placement!.DataChunks, pieces);
        return target;
    }

    private void SealParity(int slot)
    {
        var header = Memory.Slot(SlotKind.Parity, slot);
        for (var index = 0L; index < header.BucketCount; index++)
        {
            var (offset, bytes) = Memory.Bucket(SlotKind.Parity, slot, index);
            Memory.Hashes(SlotKind.Parity, slot)[(int)index] = BucketHash.Of(Memory.Bytes(SlotKind.Parity, slot) + offset, bytes);
        }
        Seal(SlotKind.Parity, slot);
        header.State = SlotState.Prepared;
        accumulators[slot] = null;
        FinishIfReady(slot);
    }

    /// <summary>A rank is prepared when its data and the parity that it holds for the step are hashed.</summary>
    private void FinishIfReady(int slot)
    {
        var data = Memory.Slot(SlotKind.Data, slot);
        if (data.State != SlotState.Writing || !landed[slot]) return;
        if (Memory.Identity.Losses > 0 && Memory.Find(SlotKind.Parity, data.Step) != slot) return;
        data.State = SlotState.Prepared;
    }

    private void ClearParity(int slot)
    {
        accumulators[slot] = null;
        Clear(Memory.Slot(SlotKind.Parity, slot));
    }
}
