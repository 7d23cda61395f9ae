using System.Text.Json;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;

namespace Perennial.Training.Parallel;

/// <summary>How a state that some processes have lies on them: what others must know to take it over.</summary>
/// <param name="Placement">Where the weights are.</param>
/// <param name="Holdings">The slots of every place.</param>
internal sealed record Arrangement(DecoderPlacement Placement, IReadOnlyList<IReadOnlyList<SlotHolding>> Holdings)
{
    /// <summary>The layout of the whole state.</summary>
    public StateLayout Layout { get; } = SlotPlacement.Layout(Placement, Holdings);

    /// <summary>The layout of what ranks keep on their nodes: as above, but of the weights only what each optimizer moves.</summary>
    public IReadOnlyList<SlotLayout> Kept => [.. Layout.Slots.Select(slot => slot.Slot.Name == DecoderPlacement.Weights ? slot with { Layout = Placement.Trained } : slot)];

    /// <summary>Where each slot of a place begins in the bytes that it keeps on its node.</summary>
    /// <param name="place">The place.</param>
    /// <param name="start">Where the weights begin.</param>
    public IReadOnlyDictionary<string, long> Offsets(int place, long start)
    {
        var (offsets, kept) = (new Dictionary<string, long>(StringComparer.Ordinal), Kept.ToDictionary(slot => slot.Slot.Name, slot => slot.Layout, StringComparer.Ordinal));
        foreach (var name in Holdings[place].Select(slot => slot.Name).Prepend(DecoderPlacement.Weights))
        {
            offsets.Add(name, start);
            start += kept[name].Ranks[place].Bytes;
        }
        return offsets;
    }

    /// <summary>Learns it from a process that has a part; all of them call it.</summary>
    /// <param name="everyone">All of them.</param>
    /// <param name="root">One that has a part.</param>
    /// <param name="known">The slots of every place, on the root.</param>
    /// <param name="place">Makes the placement of the shape.</param>
    /// <exception cref="CommunicatorException">A process was lost.</exception>
    public static Arrangement Learn(ICommunicator everyone, int root, IReadOnlyList<IReadOnlyList<SlotHolding>>? known, Func<DecoderPlacement> place)
    {
        var text = GateExchange.Broadcast(everyone, everyone.Rank == root ? JsonSerializer.SerializeToUtf8Bytes(known!) : null, root);
        return new(place(), JsonSerializer.Deserialize<SlotHolding[][]>(text)!);
    }
}
