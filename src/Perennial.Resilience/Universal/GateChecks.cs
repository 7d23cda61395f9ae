using Perennial.Resilience.Layouts;

namespace Perennial.Resilience.Universal;

/// <summary>The comparisons of the transition gate; each tells its faults in words.</summary>
internal static class GateChecks
{
    /// <summary>Every slot and tensor of the source has a place, and nothing else has.</summary>
    public static IEnumerable<string> Residency(StateSummary expected, StateLayout layout)
    {
        foreach (var slot in expected.Slots.Where(slot => layout.Find(slot.Slot.Name) is null)) yield return $"slot '{slot.Slot.Name}' has no place in the new layout";
        foreach (var slot in layout.Slots)
        {
            var wanted = expected.Slots.FirstOrDefault(entry => entry.Slot.Name == slot.Slot.Name);
            if (wanted is null)
            {
                yield return $"slot '{slot.Slot.Name}' has no source: it would start from nothing";
                continue;
            }
            if (wanted.Slot.Type != slot.Slot.Type) yield return $"slot '{slot.Slot.Name}' is {slot.Slot.Type} instead of {wanted.Slot.Type}";
            foreach (var name in wanted.Tensors.Keys.Where(name => slot.Layout.IndexOf(name) is null)) yield return $"slot '{slot.Slot.Name}': tensor '{name}' has no place in the new layout";
            foreach (var hole in slot.Layout.Uncovered().Take(3)) yield return $"slot '{slot.Slot.Name}': no rank holds bytes [{hole.Offset}, {hole.Offset + hole.Length}) of tensor '{hole.Tensor}'";
        }
    }

    /// <summary>Each logical tensor has the content that it had.</summary>
    public static IEnumerable<string> Contents(StateSummary expected, StateLayout layout, GateContent content)
    {
        foreach (var slot in layout.Slots)
        {
            if (expected.Slots.FirstOrDefault(entry => entry.Slot.Name == slot.Slot.Name) is not { } wanted) continue;
            var found = content.Digests[slot.Slot.Name];
            foreach (var tensor in slot.Layout.Tensors)
            {
                if (tensor.Replicas == Replicas.Average)
                {
                    foreach (var fault in Mean(wanted, slot, tensor.Name, content)) yield return fault;
                    continue;
                }
                if (!wanted.Tensors.TryGetValue(tensor.Name, out var digest)) yield return $"slot '{slot.Slot.Name}': tensor '{tensor.Name}' has no source: it would start from nothing";
                else if (digest != found[tensor.Name]) yield return $"slot '{slot.Slot.Name}': tensor '{tensor.Name}' is not what was saved{Alike(expected, found[tensor.Name], slot.Slot.Name, tensor.Name)}";
            }
        }
    }

    /// <summary>A low-precision copy is the rounding of its master, not of an older one.</summary>
    public static IEnumerable<string> Copies(StateLayout layout, GateContent content)
    {
        foreach (var slot in layout.Slots.Where(slot => slot.Slot.RoundedFrom is not null))
            foreach (var (tensor, digest) in content.Rounded.GetValueOrDefault(slot.Slot.Name) ?? [])
                if (content.Digests[slot.Slot.Name].TryGetValue(tensor, out var copy) && copy != digest)
                    yield return $"slot '{slot.Slot.Name}': tensor '{tensor}' is not '{slot.Slot.RoundedFrom}' rounded to {slot.Slot.Type}: it is stale";
    }

    /// <summary>Every trained parameter has all of its optimizer state, a frozen one has none.</summary>
    public static IEnumerable<string> Accounting(StateSummary expected, StateLayout layout)
    {
        var parameters = layout.Slots.Where(slot => slot.Slot.Role == SlotRole.Weight).SelectMany(slot => slot.Layout.Tensors).DistinctBy(tensor => tensor.Name).ToDictionary(tensor => tensor.Name);
        foreach (var slot in layout.Slots.Where(slot => slot.Slot.Role == SlotRole.Optimizer))
        {
            foreach (var (name, parameter) in parameters)
            {
                var frozen = expected.Frozen.Contains(name);
                var index = slot.Layout.IndexOf(name);
                if (frozen == index is not null) yield return $"slot '{slot.Slot.Name}': tensor '{name}' is {(frozen ? "frozen but has" : "trained but lacks")} optimizer state";
                else if (index is { } at && slot.Layout.Tensors[at].Elements != parameter.Elements)
                    yield return $"slot '{slot.Slot.Name}': tensor '{name}' has {slot.Layout.Tensors[at].Elements} elements, its parameter {parameter.Elements}";
            }
            foreach (var tensor in slot.Layout.Tensors.Where(tensor => !parameters.ContainsKey(tensor.Name))) yield return $"slot '{slot.Slot.Name}': tensor '{tensor.Name}' belongs to no parameter";
        }
    }

    /// <summary>Step, cursor, counters and keys are the source's on every rank.</summary>
    public static IEnumerable<string> Ranks(IReadOnlyList<RankEvidence> evidence, ProgressRecord? expected) =>
        expected is null ? ["there is no evidence"] : evidence.SelectMany(rank => expected.Differences(rank.Progress).Select(difference => $"rank {rank.Rank}: {difference}"));

    /// <summary>Averaged values: under the layout they had, each rank's own; under another, equal everywhere and, where the mean is known, equal to it.</summary>
    private static IEnumerable<string> Mean(SlotSummary wanted, SlotLayout slot, string tensor, GateContent content)
    {
        var found = content.Averaged[slot.Slot.Name][tensor];
        if (wanted.LayoutHash == slot.Layout.HashText && wanted.Averaged.TryGetValue(tensor, out var kept))
        {
            for (var rank = 0; rank < found.Count; rank++)
                if (found[rank] != kept[rank]) yield return $"slot '{slot.Slot.Name}': averaged tensor '{tensor}' is not what rank {rank} had";
            yield break;
        }
        var holders = found.OfType<ContentDigest>().ToList();
        if (holders.Count == 0) yield return $"slot '{slot.Slot.Name}': averaged tensor '{tensor}' was not filled";
        // Parts of a cut tensor differ by nature; whole copies of one mean do not.
        var whole = slot.Layout.Tensors[slot.Layout.IndexOf(tensor)!.Value].Elements;
        if (holders.Where(digest => digest.Elements == whole).Distinct().Count() > 1) yield return $"slot '{slot.Slot.Name}': averaged tensor '{tensor}' differs between its replicas";
        if (wanted.Tensors.TryGetValue(tensor, out var mean) && !wanted.Averaged.ContainsKey(tensor) && mean != content.Digests[slot.Slot.Name][tensor])
            yield return $"slot '{slot.Slot.Name}': averaged tensor '{tensor}' is not the mean of what was saved";
    }

    /// <summary>Whose content was found instead, if it is another tensor's or slot's: the commonest fault has a name.</summary>
    private static string Alike(StateSummary expected, ContentDigest found, string slot, string tensor)
    {
        foreach (var other in expected.Slots)
            foreach (var (name, digest) in other.Tensors)
                if (digest == found && (other.Slot.Name != slot || name != tensor)) return $": it is '{name}' of slot '{other.Slot.Name}'";
        return "";
    }
}
