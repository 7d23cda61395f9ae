namespace Perennial.Resilience.Snapshots;

/// <summary>Why a manager refuses a request.</summary>
public enum RefusalReason : byte
{
    /// <summary>The request is of an older membership epoch, or its trainer lost its lease: it must not go on.</summary>
    Fenced = 1,

    /// <summary>Not now: an earlier step is not committed, or a slot is being read.</summary>
    Busy = 2,

    /// <summary>The step, slot or rank is not there.</summary>
    NotFound = 3,

    /// <summary>Bytes do not have their hash.</summary>
    Damaged = 4,

    /// <summary>The request breaks the protocol.</summary>
    Invalid = 5,

    /// <summary>The RAM file system has too little room.</summary>
    NoRoom = 6,
}

/// <summary>A manager refused a request.</summary>
/// <param name="reason">Why.</param>
/// <param name="message">In words.</param>
public sealed class SnapshotRefusedException(RefusalReason reason, string message) : Exception(message)
{
    /// <summary>Why.</summary>
    public RefusalReason Reason { get; } = reason;
}

/// <summary>A rank's sharding group as its manager must know it.</summary>
/// <param name="Ranks">Global ranks of the members, in the group's order.</param>
/// <param name="Managers">The manager of each member.</param>
/// <param name="Losses">m, at least 1 and below the number of members.</param>
/// <param name="Lag">0: parity right after the copy. 1: parity when the trainer asks (<c>ENCODE</c>), one step later.</param>
public sealed record GroupMembers(IReadOnlyList<int> Ranks, IReadOnlyList<SnapshotEndpoint> Managers, int Losses, int Lag);

/// <summary>A trainer asks for its rank's memory.</summary>
/// <param name="Identity">Which memory.</param>
/// <param name="Epoch">Membership epoch; a newer one fences the older writer.</param>
/// <param name="Pid">The trainer's process.</param>
/// <param name="Restored">The step that the run goes on from; null where nothing was chosen.</param>
/// <param name="Group">The group; null without parity.</param>
internal sealed record HelloMessage(SlotIdentity Identity, ulong Epoch, int Pid, long? Restored, GroupMembers? Group)
{
    public WireWriter Write()
    {
        var writer = new WireWriter().Int(Identity.Rank).ULong(Identity.LayoutHash).Long(Identity.Bytes).Int(Identity.GroupSize).Int(Identity.GroupIndex).Int(Identity.Losses)
            .ULong(Epoch).Int(Pid).Long(Restored ?? -1);
        return WriteGroup(writer, Group);
    }

    public static HelloMessage Read(Guid runId, ReadOnlySpan<byte> payload)
    {
        var reader = new WireReader(payload);
        var identity = new SlotIdentity(runId, reader.Int(), reader.ULong(), reader.Long(), reader.Int(), reader.Int(), reader.Int());
        return new(identity, reader.ULong(), reader.Int(), reader.Long() is >= 0 and var step ? step : null, ReadGroup(ref reader));
    }

    public static WireWriter WriteGroup(WireWriter writer, GroupMembers? group)
    {
        writer.Int(group?.Ranks.Count ?? 0);
        if (group is null) return writer;
        writer.Int(group.Losses).Int(group.Lag);
        for (var member = 0; member < group.Ranks.Count; member++) writer.Int(group.Ranks[member]).Text(group.Managers[member].ToString());
        return writer;
    }

    public static GroupMembers? ReadGroup(ref WireReader reader)
    {
        var count = reader.Int();
        if (count == 0) return null;
        if (count is < 0 or > 255) throw new IOException($"a group of {count} ranks is not possible");
        var (losses, lag) = (reader.Int(), reader.Int());
        var (ranks, managers) = (new int[count], new SnapshotEndpoint[count]);
        for (var member = 0; member < count; member++) (ranks[member], managers[member]) = (reader.Int(), SnapshotEndpoint.Parse(reader.Text()));
        return new(ranks, managers, losses, lag);
    }
}

/// <summary>What most requests carry.</summary>
internal readonly record struct StepMessage(int Rank, ulong Epoch, long Step)
{
    public WireWriter Write() => new WireWriter().Int(Rank).ULong(Epoch).Long(Step);

    public static StepMessage Read(ref WireReader reader) => new(reader.Int(), reader.ULong(), reader.Long());
}

/// <summary>A piece of a data chunk on its way to a parity holder; the piece itself follows.</summary>
internal readonly record struct ShareMessage(int ToRank, ulong Epoch, long Step, int FromIndex, int Parity, int Chunk, long Offset, UInt128 Hash)
{
    public WireWriter Write() => new WireWriter().Int(ToRank).ULong(Epoch).Long(Step).Int(FromIndex).Int(Parity).Int(Chunk).Long(Offset).Hash(Hash);

    public static ShareMessage Read(ref WireReader reader) =>
        new(reader.Int(), reader.ULong(), reader.Long(), reader.Int(), reader.Int(), reader.Int(), reader.Long(), reader.Hash());
}

/// <summary>A range of a slot.</summary>
internal readonly record struct ReadMessage(int Rank, SlotKind Kind, long Step, long Offset, int Bytes)
{
    public WireWriter Write() => new WireWriter().Int(Rank).Byte((byte)Kind).Long(Step).Long(Offset).Int(Bytes);

    public static ReadMessage Read(ref WireReader reader) => new(reader.Int(), (SlotKind)reader.Byte(), reader.Long(), reader.Long(), reader.Int());
}
