using System.Text.Json;
using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Models;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Tensors;
using StateSlot = Perennial.Tensors.StateSlot;
using UniversalSlot = Perennial.Resilience.Layouts.StateSlot;

namespace Perennial.Training.Parallel;

/// <summary>A stretch of a slot on one rank, by what it is in the whole model.</summary>
/// <param name="Tensor">Its name: the same on every rank that has it.</param>
/// <param name="Position">First of its parameters in the whole model's flat order; what belongs to no parameter comes last.</param>
/// <param name="Shape">Its dimensions.</param>
internal sealed record SlotStretch(string Tensor, long Position, long[] Shape);

/// <summary>A slot as one rank has it.</summary>
/// <param name="Name">The slot.</param>
/// <param name="Type">Element type.</param>
/// <param name="IsOptimizer">Whether it is the optimizer's; other slots follow the weights.</param>
/// <param name="IsIndexed">Whether it has anything but one number a parameter.</param>
/// <param name="Stretches">All of it, in order.</param>
internal sealed record SlotHolding(string Name, SafetensorsType Type, bool IsOptimizer, bool IsIndexed, SlotStretch[] Stretches);

/// <summary>
/// Where slots are that cannot be cut like the weights: factored moments, projectors, block scales, counters. A rank has them for the tensors
/// that it updates, whole. Which those are depends on the optimizer, so each rank describes what it has, and one layout is made of all that is
/// described: such state then moves between shapes, peers and checkpoints as any other.
/// </summary>
internal static class SlotPlacement
{
    /// <summary>A rank's slots.</summary>
    /// <param name="global">The whole model.</param>
    /// <param name="local">What the slots are about on this rank.</param>
    /// <param name="slots">The slots.</param>
    /// <param name="areOptimizers">Whether they are the optimizer's.</param>
    public static IEnumerable<SlotHolding> Describe(FlatLayout global, FlatLayout local, IEnumerable<StateSlot> slots, bool areOptimizers)
    {
        foreach (var slot in slots)
        {
            var stretches = (slot.Index ?? SlotIndex.Elementwise(local)).Parts.Select(part => Stretch(global, local, part)).ToArray();
            yield return new(slot.Name, slot.Values.StoredType(), areOptimizers, slot.Index is not null, stretches);
        }
    }

    /// <summary>What every rank of a shape has, by rank; all of them call it, and others that only want to know.</summary>
    /// <param name="ranks">Ranks of the shape: the first of the world.</param>
    /// <param name="world">All that call it.</param>
    /// <param name="mine">What this rank has; nothing where it is none of the shape.</param>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public static IReadOnlyList<IReadOnlyList<SlotHolding>> Gather(int ranks, ICommunicator world, IReadOnlyList<SlotHolding> mine) =>
        [.. GateExchange.Gather(world, JsonSerializer.SerializeToUtf8Bytes(mine)).Take(ranks).Select(text => JsonSerializer.Deserialize<SlotHolding[]>(text)!)];

    /// <summary>The layout of what some ranks have, by rank.</summary>
    /// <exception cref="PerennialException">Exit 2: ranks have different things under one name.</exception>
    public static StateLayout Layout(DecoderPlacement placement, IReadOnlyList<IReadOnlyList<SlotHolding>> ranks)
    {
        // A rank without tensors of a kind lacks their slots, and where a slot is about all that a rank has, it needs no index there.
        var names = ranks.SelectMany(slots => slots).Select(slot => slot.Name).Distinct(StringComparer.Ordinal).ToList();
        var byName = ranks.SelectMany((slots, rank) => slots.Select(slot => (Rank: rank, Slot: slot))).ToLookup(held => held.Slot.Name, StringComparer.Ordinal);
        var plain = placement.State(names.Where(name => !byName[name].Any(held => held.Slot.IsIndexed)).Select(name => (name, byName[name].First().Slot.IsOptimizer)));
        return plain with { Slots = [plain.Slots[0], .. names.Select(name => plain.Find(name) ?? Indexed(name, [.. byName[name]], ranks.Count))] };
    }

    /// <summary>The layout that a saved state has under another shape.</summary>
    /// <param name="config">The model.</param>
    /// <param name="shape">The shape.</param>
    /// <param name="saved">Its slots, beside the weights, with their tensors.</param>
    /// <exception cref="PerennialException">Exit 2: the model cannot be cut so, or a slot that must stay whole would be cut.</exception>
    public static StateLayout Layout(DecoderConfig config, ParallelShape shape, IReadOnlyList<(UniversalSlot Slot, IReadOnlyList<LogicalTensor> Tensors)> saved)
    {
        var auxiliary = saved.Where(slot => slot.Slot.Role == SlotRole.Auxiliary).ToList();
        var placement = new DecoderPlacement(config, shape, atTensors: auxiliary.Count > 0);
        var plain = placement.State(saved.Except(auxiliary).Select(slot => (slot.Slot.Name, slot.Slot.Role == SlotRole.Optimizer)));
        if (auxiliary.Count == 0) return plain;
        var updated = placement.State([("updated", true)]).Slots[1].Layout;
        var whole = updated.Ranks.Select(rank => rank.Runs.GroupBy(run => updated.Tensors[run.Tensor]).ToDictionary(runs => runs.Key.Name, runs => runs.Sum(run => run.Bytes) == runs.Key.Bytes, StringComparer.Ordinal)).ToList();
        var holdings = whole.Select(rank => auxiliary.Select(slot => new SlotHolding(slot.Slot.Name, slot.Slot.Type, true, true, [.. slot.Tensors.Select((tensor, i) => (Tensor: tensor, Position: i)).Where(at => Has(rank, slot.Slot, at.Tensor)).Select(at => new SlotStretch(at.Tensor.Name, at.Position, [.. at.Tensor.Shape]))])).ToList()).ToList();
        var more = Layout(placement, [.. holdings.Select(slots => (IReadOnlyList<SlotHolding>)slots)]);
        return plain with { Slots = [plain.Slots[0], .. saved.Select(slot => plain.Find(slot.Slot.Name) ?? more.Find(slot.Slot.Name)!)] };

        bool Has(IReadOnlyDictionary<string, bool> tensors, UniversalSlot slot, LogicalTensor tensor)
        {
            // A matrix of several side by side has its number behind the entry's name; what belongs to no parameter is everywhere.
            var owner = tensor.Name.Split('#')[0];
            if (!placement.Global.Contains(owner)) return true;
            return tensors.TryGetValue(owner, out var isWhole) && (isWhole ? true : throw PerennialException.Usage($"{shape}: slot '{slot.Name}' keeps '{owner}' as a whole, which this shape cuts; use tensor: 1"));
        }
    }

    private static SlotStretch Stretch(FlatLayout global, FlatLayout local, SlotPart part)
    {
        if (part.Parameters == 0) return new(part.Owner, long.MaxValue, [part.Length]);
        var entry = local.Entries.First(entry => part.Parameter >= entry.Offset && part.Parameter < entry.Offset + entry.Length);
        return new(part.Owner, global[entry.Name].Offset + part.Parameter - entry.Offset, part.Grain == 1 && part.Length == entry.Length ? [.. entry.Shape] : [part.Length]);
    }

    private static SlotLayout Indexed(string name, IReadOnlyList<(int Rank, SlotHolding Slot)> held, int ranks)
    {
        var type = held[0].Slot.Type;
        var stretches = held.SelectMany(rank => rank.Slot.Stretches).DistinctBy(stretch => stretch.Tensor, StringComparer.Ordinal).OrderBy(stretch => stretch.Position).ToList();
        var tensors = stretches.Select(stretch => new LogicalTensor(stretch.Tensor, stretch.Shape, type.Size(), Pattern: "whole, where its tensor is updated", Whole: true)).ToList();
        var numbers = tensors.Select((tensor, i) => (tensor.Name, Number: i)).ToDictionary(pair => pair.Name, pair => pair.Number, StringComparer.Ordinal);
        var buffers = Enumerable.Repeat(new RankBuffer(0, []), ranks).ToArray();
        foreach (var (rank, slot) in held)
        {
            var (runs, end) = (new List<LayoutRun>(), 0L);
            foreach (var stretch in slot.Stretches)
            {
                var tensor = tensors[numbers[stretch.Tensor]];
                if (slot.Type != type || !tensor.Shape.SequenceEqual(stretch.Shape))
                    throw PerennialException.Usage($"parallel: rank {rank} has '{stretch.Tensor}' of slot '{name}' as {slot.Type} [{string.Join(", ", stretch.Shape)}], another rank as {type} [{string.Join(", ", tensor.Shape)}]: the ranks run different recipes");
                runs.Add(new LayoutRun(numbers[stretch.Tensor], 0, end, tensor.Bytes));
                end += tensor.Bytes;
            }
            buffers[rank] = new RankBuffer(end, runs);
        }
        return new(new UniversalSlot(name, SlotRole.Auxiliary, type), Resilience.Layouts.Layout.Of(tensors, buffers));
    }
}
