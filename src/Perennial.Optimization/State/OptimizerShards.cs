using Perennial.Core;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>A stretch of flat parameters that one process updates.</summary>
/// <param name="First">First element.</param>
/// <param name="Count">Number of elements; may be 0.</param>
public readonly record struct ParameterRange(long First, long Count);

/// <summary>How an optimizer's work and state may be divided among processes (ZeRO): a pure function of the optimizer and the layout.</summary>
public static class OptimizerShards
{
    /// <summary>Ranges for some processes, as equal as the optimizer allows: cuts inside a tensor only where neither its update nor a slot needs it whole.</summary>
    /// <param name="optimizer">The optimizer.</param>
    /// <param name="layout">The parameters.</param>
    /// <param name="processes">How many.</param>
    public static IReadOnlyList<ParameterRange> Divide(IOptimizer optimizer, FlatLayout layout, int processes)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentOutOfRangeException.ThrowIfLessThan(processes, 1);
        var cuts = new long[processes + 1];
        for (var i = 1; i < processes; i++) cuts[i] = Math.Max(cuts[i - 1], NearestCut(optimizer, layout, layout.Length * i / processes));
        cuts[processes] = layout.Length;
        return [.. Enumerable.Range(0, processes).Select(i => new ParameterRange(cuts[i], cuts[i + 1] - cuts[i]))];
    }

    /// <summary>Refuses a division that the optimizer cannot live with, before anything is trained.</summary>
    /// <exception cref="PerennialException">Exit 2: a range cuts what belongs together; names the tensor.</exception>
    public static void Require(IOptimizer optimizer, FlatLayout layout, IReadOnlyList<ParameterRange> ranges)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(ranges);
        foreach (var range in ranges.Where(range => range.Count > 0))
        {
            foreach (var cut in new[] { range.First, range.First + range.Count })
            {
                var cutting = layout.Entries.FirstOrDefault(entry => cut > entry.Offset && cut < entry.Offset + entry.Length && optimizer.NeedsWhole(entry));
                if (cutting is not null)
                    throw PerennialException.Usage($"this optimizer updates '{cutting.Name}' as a whole, so processes cannot divide it at element {cut - cutting.Offset}; divide between tensors, or take an element-wise optimizer such as adamw");
            }
            foreach (var slot in optimizer.Slots) Slice(slot, layout, range);
        }
    }

    /// <summary>The elements of a slot that go with a range of parameters.</summary>
    /// <exception cref="PerennialException">Exit 2: the range cuts what the slot keeps together.</exception>
    public static IReadOnlyList<(long Offset, long Length)> Slice(StateSlot slot, FlatLayout layout, ParameterRange range)
    {
        ArgumentNullException.ThrowIfNull(slot);
        return (slot.Index ?? SlotIndex.Elementwise(layout)).Slice(slot.Name, range.First, range.Count);
    }

    private static long NearestCut(IOptimizer optimizer, FlatLayout layout, long wanted)
    {
        if (layout.Entries.FirstOrDefault(entry => wanted >= entry.Offset && wanted < entry.Offset + entry.Length) is not { } entry) return layout.Length;
        var grains = optimizer.Slots.SelectMany(slot => slot.Index?.Parts ?? []).Where(part => part.Parameter <= wanted && wanted < part.Parameter + part.Parameters).Select(part => part.Grain).ToList();
        var inside = wanted - entry.Offset;
        if (optimizer.NeedsWhole(entry) || grains.Contains(0)) return inside * 2 < entry.Length ? entry.Offset : entry.Offset + entry.Length;
        var grain = grains.DefaultIfEmpty(1).Max();
        return entry.Offset + inside / grain * grain;
    }
}
