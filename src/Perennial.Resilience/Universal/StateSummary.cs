using System.Text.Json;
using Perennial.Core;
using Perennial.Resilience.Layouts;

namespace Perennial.Resilience.Universal;

/// <summary>What one slot must contain.</summary>
/// <param name="Slot">The slot.</param>
/// <param name="Tensors">The digest of each logical tensor.</param>
/// <param name="Averaged">For tensors whose replicas may differ: the digest of each rank's part by rank; null where a rank has none.</param>
/// <param name="LayoutHash">The layout that the ranks of <paramref name="Averaged"/> had.</param>
public sealed record SlotSummary(StateSlot Slot, IReadOnlyDictionary<string, ContentDigest> Tensors, IReadOnlyDictionary<string, IReadOnlyList<ContentDigest?>> Averaged, string LayoutHash);

/// <summary>What the whole state must contain, whatever its layout: what the transition gate compares with.</summary>
/// <param name="Slots">The slots.</param>
/// <param name="Frozen">Tensors without optimizer state.</param>
/// <param name="Progress">The state that is not a tensor.</param>
public sealed record StateSummary(IReadOnlyList<SlotSummary> Slots, IReadOnlyList<string> Frozen, ProgressRecord Progress)
{
    /// <summary>The summary as it travels between processes.</summary>
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, UniversalJson.Options);

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="JsonException">It is something else.</exception>
    public static StateSummary FromJson(ReadOnlySpan<byte> json) => JsonSerializer.Deserialize<StateSummary>(json, UniversalJson.Options)!;

    /// <summary>Sums up a state before it is saved or moved, from the evidence of all its ranks.</summary>
    /// <exception cref="PerennialException">Exit 1: replicas that should be equal differ, or ranks disagree; the state must not be saved.</exception>
    public static StateSummary Of(StateLayout layout, IReadOnlyList<RankEvidence> evidence, IReadOnlyList<string>? frozen = null)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(evidence);
        var content = new GateContent(layout, evidence);
        var faults = content.Faults.Concat(GateChecks.Ranks(evidence, evidence.Count > 0 ? evidence[0].Progress : null)).ToList();
        if (faults.Count > 0) throw PerennialException.Failed($"the state is not in order: {faults[0]}{(faults.Count > 1 ? $" (and {faults.Count - 1} more faults)" : "")}");
        return new([.. layout.Slots.Select(slot => new SlotSummary(slot.Slot, content.Digests[slot.Slot.Name], content.Averaged[slot.Slot.Name], slot.Layout.HashText))],
            frozen ?? [], evidence[0].Progress);
    }
}
