namespace Perennial.Resilience.Snapshots;

/// <summary>What all ranks of a manager share.</summary>
/// <param name="Time">The clock.</param>
/// <param name="Lease">How long a silent trainer keeps its rank.</param>
/// <param name="PieceBytes">Bytes of one share on its way to a parity holder.</param>
internal sealed record RankStoreOptions(TimeProvider Time, TimeSpan Lease, int PieceBytes);

/// <summary>A complete slot that stays while this is held.</summary>
internal sealed unsafe class SlotLease(SharedSlot memory, SlotKind kind, int slot, Action release) : IDisposable
{
    public SharedSlot Memory => memory;

    public byte* Bytes { get; } = memory.Bytes(kind, slot);

    public long Capacity => memory.Capacity(kind);

    /// <summary>The first bucket in a range whose bytes no longer have their hash; −1 if all hold.</summary>
    public long FirstDamaged(long offset, long bytes)
    {
        var size = memory.Slot(kind, slot).BucketSize;
        for (var index = offset / size; index * size < offset + bytes; index++)
            if (!memory.BucketHolds(kind, slot, index)) return index;
        return -1;
    }

    public void Dispose() => release();
}
