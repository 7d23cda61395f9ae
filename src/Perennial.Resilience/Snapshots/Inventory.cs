namespace Perennial.Resilience.Snapshots;

/// <summary>One slot as its manager sees it.</summary>
/// <param name="Kind">Data or parity.</param>
/// <param name="Slot">0 (A) or 1 (B).</param>
/// <param name="State">Its state; <see cref="SlotState.Empty"/> also where its header does not hold against its hash.</param>
/// <param name="Step">The step; −1 if none.</param>
/// <param name="Landed">All of the step's data is there, parity may still be missing.</param>
/// <param name="Own">The slot's own seal, by the member's place in its group; null where it is not complete data.</param>
/// <param name="Proofs">The seals of the group's data at the step, where a commit told them.</param>
public sealed record SlotReport(SlotKind Kind, int Slot, SlotState State, long Step, bool Landed, SlotProof? Own, IReadOnlyList<SlotProof> Proofs);

/// <summary>One rank's memory as its manager sees it.</summary>
/// <param name="Identity">What the memory is for.</param>
/// <param name="Epoch">The newest membership epoch seen.</param>
/// <param name="TrainerAlive">Whether a trainer holds the lease.</param>
/// <param name="LastAborted">The last step given up in this epoch; −1 if none.</param>
/// <param name="Problem">What the manager would tell a person; empty when all is well.</param>
/// <param name="Slots">Both data slots, then both parity slots where there is parity.</param>
public sealed record RankInventory(SlotIdentity Identity, ulong Epoch, bool TrainerAlive, long LastAborted, string Problem, IReadOnlyList<SlotReport> Slots)
{
    /// <summary>The global rank.</summary>
    public int Rank => Identity.Rank;

    /// <summary>The state of a step's slot; empty where the step is not there.</summary>
    public SlotState StateOf(SlotKind kind, long step) => Slots.Where(slot => slot.Kind == kind && slot.Step == step).Select(slot => slot.State).DefaultIfEmpty(SlotState.Empty).Max();

    /// <summary>Whether the rank can give a step's data.</summary>
    public bool Has(long step) => StateOf(SlotKind.Data, step) >= SlotState.Prepared;

    /// <summary>What is known of the group's data at a step: told at its commit, and the rank's own.</summary>
    public IReadOnlyList<SlotProof> ProofsOf(long step) =>
        [.. Slots.Where(slot => slot.Kind == SlotKind.Data && slot.Step == step && slot.State >= SlotState.Prepared).SelectMany(slot => slot.Own is null ? slot.Proofs : slot.Proofs.Append(slot.Own)).DistinctBy(proof => proof.Member)];

    internal void Write(WireWriter writer)
    {
        writer.Int(Identity.Rank).ULong(Identity.LayoutHash).Long(Identity.Bytes).Int(Identity.GroupSize).Int(Identity.GroupIndex).Int(Identity.Losses);
        writer.ULong(Epoch).Byte(TrainerAlive ? (byte)1 : (byte)0).Long(LastAborted).Text(Problem).Int(Slots.Count);
        foreach (var slot in Slots)
        {
            writer.Byte((byte)slot.Kind).Byte((byte)slot.Slot).Byte((byte)slot.State).Long(slot.Step).Byte(slot.Landed ? (byte)1 : (byte)0);
            SlotProof.Write(writer, slot.Own is null ? [] : [slot.Own]);
            SlotProof.Write(writer, slot.Proofs);
        }
    }

    internal static RankInventory Read(Guid runId, ref WireReader reader)
    {
        var identity = new SlotIdentity(runId, reader.Int(), reader.ULong(), reader.Long(), reader.Int(), reader.Int(), reader.Int());
        var (epoch, alive, aborted, problem) = (reader.ULong(), reader.Byte() != 0, reader.Long(), reader.Text());
        var slots = new SlotReport[reader.Int()];
        for (var slot = 0; slot < slots.Length; slot++)
            slots[slot] = new((SlotKind)reader.Byte(), reader.Byte(), (SlotState)reader.Byte(), reader.Long(), reader.Byte() != 0, SlotProof.Read(ref reader) is [var proof, ..] ? proof : null, SlotProof.Read(ref reader));
        return new(identity, epoch, alive, aborted, problem, slots);
    }
}
