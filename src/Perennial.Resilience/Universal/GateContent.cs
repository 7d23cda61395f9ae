using Perennial.Resilience.Layouts;

namespace Perennial.Resilience.Universal;

/// <summary>Puts the evidence of all ranks together: replicas against each other, regions into tensors.</summary>
internal sealed class GateContent
{
    public GateContent(StateLayout layout, IReadOnlyList<RankEvidence> evidence)
    {
        var byRank = evidence.GroupBy(entry => entry.Rank).ToDictionary(group => group.Key, group => group.First());
        for (var rank = 0; rank < layout.Ranks; rank++)
            if (!byRank.ContainsKey(rank)) Faults.Add($"rank {rank} gave no evidence");
        if (evidence.Count != byRank.Count || byRank.Keys.Any(rank => rank < 0 || rank >= layout.Ranks)) Faults.Add("there is evidence of ranks that the layout does not have, or twice of one");
        foreach (var slot in layout.Slots)
        {
            var found = byRank.ToDictionary(entry => entry.Key, entry => entry.Value.Slots.FirstOrDefault(item => item.Slot == slot.Slot.Name));
            foreach (var (rank, item) in found)
                foreach (var fault in item is null ? ["there is no evidence"] : item.Faults)
                    Faults.Add($"rank {rank}, slot '{slot.Slot.Name}': {fault}");
            var regions = LayoutRegions.Of(slot.Layout);
            Combine(slot, regions, rank => found.GetValueOrDefault(rank)?.Regions, Digests, Averaged, tellReplicas: true);
            foreach (var copy in layout.Slots.Where(other => other.Slot.RoundedFrom == slot.Slot.Name))
                Combine(slot, regions, rank => found.GetValueOrDefault(rank)?.Rounded.GetValueOrDefault(copy.Slot.Name), Rounded, [], tellReplicas: false, copy.Slot.Name);
        }
    }

    /// <summary>What is wrong before anything is compared with what was expected.</summary>
    public List<string> Faults { get; } = [];

    /// <summary>Slot → tensor → digest.</summary>
    public Dictionary<string, Dictionary<string, ContentDigest>> Digests { get; } = [];

    /// <summary>Slot → averaged tensor → digest of each rank's part.</summary>
    public Dictionary<string, Dictionary<string, IReadOnlyList<ContentDigest?>>> Averaged { get; } = [];

    /// <summary>Low-precision slot → tensor → digest that it must have, from its float32 slot.</summary>
    public Dictionary<string, Dictionary<string, ContentDigest>> Rounded { get; } = [];

    private void Combine(SlotLayout slot, LayoutRegions regions, Func<int, IReadOnlyList<ContentDigest>?> evidence, Dictionary<string, Dictionary<string, ContentDigest>> into,
        Dictionary<string, Dictionary<string, IReadOnlyList<ContentDigest?>>> averaged, bool tellReplicas, string? name = null)
    {
        name ??= slot.Slot.Name;
        var sums = into[name] = new(StringComparer.Ordinal);
        var lists = averaged[name] = new(StringComparer.Ordinal);
        var next = new int[slot.Layout.Ranks.Count];
        for (var index = 0; index < slot.Layout.Tensors.Count; index++)
        {
            var tensor = slot.Layout.Tensors[index];
            var parts = new ContentDigest?[slot.Layout.Ranks.Count];
            var sum = default(ContentDigest);
            var differing = false;
            foreach (var region in regions.Tensors[index])
            {
                ContentDigest? first = null;
                var firstRank = -1;
                foreach (var rank in region.Holders.Select(holder => holder.Rank))
                {
                    var digests = evidence(rank);
                    var at = next[rank]++;
                    if (digests is null || at >= digests.Count) continue;
                    parts[rank] = (parts[rank] ?? default) + digests[at];
                    if (first is null) (first, firstRank) = (digests[at], rank);
                    else if (first != digests[at] && tensor.Replicas == Replicas.Equal && tellReplicas && !differing)
                    {
                        differing = true;
                        Faults.Add($"slot '{name}': tensor '{tensor.Name}' differs between its replicas on ranks {firstRank} and {rank}");
                    }
                }
                sum += first ?? default;
            }
            sums[tensor.Name] = sum;
            if (tensor.Replicas == Replicas.Average) lists[tensor.Name] = parts;
        }
    }
}
