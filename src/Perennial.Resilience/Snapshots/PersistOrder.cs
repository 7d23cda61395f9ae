namespace Perennial.Resilience.Snapshots;

/// <summary>A trainer's order for a checkpoint on disk of a step whose snapshot is about to be taken.</summary>
/// <param name="Epoch">The membership's number among managers; an older one is refused.</param>
/// <param name="Step">The step.</param>
/// <param name="Tag">The arrangement of slices (<see cref="SnapshotSlices.Tag"/>).</param>
/// <param name="SliceBytes">Bytes of a slice.</param>
/// <param name="LayoutHash">The layout of the slices' memory.</param>
/// <param name="StateBytes">Bytes of the state.</param>
/// <param name="Pinned">A step whose checkpoint stays beside the newest; null for none.</param>
/// <param name="Form">The hash of the <see cref="CheckpointForm"/>.</param>
/// <param name="Managers">All managers that keep slices or parity of it.</param>
public sealed record PersistOrder(ulong Epoch, long Step, int Tag, long SliceBytes, ulong LayoutHash, long StateBytes, long? Pinned, UInt128 Form, IReadOnlyList<SnapshotEndpoint> Managers)
{
    internal WireWriter Write()
    {
        var writer = new WireWriter().ULong(Epoch).Long(Step).Int(Tag).Long(SliceBytes).ULong(LayoutHash).Long(StateBytes).Long(Pinned ?? -1).Hash(Form).Int(Managers.Count);
        foreach (var manager in Managers) writer.Text(manager.ToString());
        return writer;
    }

    internal static PersistOrder Read(ref WireReader reader)
    {
        var (epoch, step, tag, slice, layout, state, pinned, form) = (reader.ULong(), reader.Long(), reader.Int(), reader.Long(), reader.ULong(), reader.Long(), reader.Long(), reader.Hash());
        var managers = new SnapshotEndpoint[reader.Int() is >= 0 and <= 4096 and var count ? count : throw new IOException("that many managers are not possible")];
        for (var i = 0; i < managers.Length; i++) managers[i] = SnapshotEndpoint.Parse(reader.Text());
        return new(epoch, step, tag, slice, layout, state, pinned < 0 ? null : pinned, form, managers);
    }
}

/// <summary>How far a manager is with an order.</summary>
public enum PersistStage : byte
{
    /// <summary>The step is not committed yet.</summary>
    Ordered,

    /// <summary>The state is being copied out of the slots, which must not change meanwhile.</summary>
    Copying,

    /// <summary>The copy is being written; the slots are free.</summary>
    Writing,

    /// <summary>The checkpoint is durable.</summary>
    Written,

    /// <summary>The copy could not be had: a slice was lost, or another order came before the step was committed.</summary>
    Lost,

    /// <summary>The disk is full or the folder cannot be written; older checkpoints stand.</summary>
    Failed,
}

/// <summary>What a manager says of an order.</summary>
/// <param name="Stage">How far it is.</param>
/// <param name="Bytes">Bytes of the checkpoint, once it is written.</param>
/// <param name="Problem">What went wrong; empty when all is well.</param>
public sealed record PersistReport(PersistStage Stage, long Bytes, string Problem)
{
    /// <summary>Whether nothing more comes.</summary>
    public bool IsLast => Stage >= PersistStage.Written;
}
