using Perennial.Core;

namespace Perennial.Tensors;

/// <summary>One stretch of a slot and the stretch of flat parameters that it is about.</summary>
/// <param name="Owner">What people call it: the entry's name, or what a counter counts.</param>
/// <param name="Parameter">First element in the flat parameters.</param>
/// <param name="Parameters">Number of parameters; 0 for what belongs to no parameter alone (a counter), which everyone keeps.</param>
/// <param name="Offset">First element in the slot.</param>
/// <param name="Length">Number of elements in the slot.</param>
/// <param name="Grain">
/// Parameters of one slot element: 1 for a moment, 256 for the scale of a block of 256 (the last block may be shorter); 0 where the
/// stretch is about its parameters as a whole (a projector, a factored moment) and cannot be cut.
/// </param>
public sealed record SlotPart(string Owner, long Parameter, long Parameters, long Offset, long Length, long Grain);

/// <summary>How a slot's elements belong to parameters: what resharding needs to know of it.</summary>
/// <param name="Parts">Stretches in slot order, without gaps.</param>
public sealed record SlotIndex(IReadOnlyList<SlotPart> Parts)
{
    /// <summary>Element i belongs to parameter i.</summary>
    public static SlotIndex Elementwise(FlatLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return Of(layout.Entries);
    }

    /// <summary>Some entries one after another, one slot element for every <paramref name="grain"/> of their parameters.</summary>
    public static SlotIndex Of(IEnumerable<FlatEntry> entries, long grain = 1)
    {
        ArgumentNullException.ThrowIfNull(entries);
        return Of(entries.Select(entry => (entry.Name, entry.Offset, entry.Length, Length: (entry.Length + grain - 1) / grain, grain)));
    }

    /// <summary>Stretches that cannot be cut, one after another.</summary>
    public static SlotIndex Whole(IEnumerable<(string Owner, long Parameter, long Parameters, long Length)> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        return Of(parts.Select(part => (part.Owner, part.Parameter, part.Parameters, part.Length, 0L)));
    }

    /// <summary>Elements in the slot.</summary>
    public long Length => Parts.Count == 0 ? 0 : Parts[^1].Offset + Parts[^1].Length;

    /// <summary>The slot's elements that go with parameters <paramref name="first"/> … <paramref name="first"/> + <paramref name="count"/> − 1, in slot order; neighbours are joined.</summary>
    /// <param name="slot">The slot's name, for the message.</param>
    /// <param name="first">First parameter.</param>
    /// <param name="count">Number of parameters.</param>
    /// <exception cref="PerennialException">Exit 2: the range cuts a stretch that belongs together.</exception>
    public IReadOnlyList<(long Offset, long Length)> Slice(string slot, long first, long count)
    {
        var found = new List<(long Offset, long Length)>();
        foreach (var part in Parts)
        {
            var (start, end) = (Math.Max(part.Parameter, first), Math.Min(part.Parameter + part.Parameters, first + count));
            if (part.Parameters > 0 && start >= end) continue;
            var piece = part.Parameters == 0 ? (part.Offset, part.Length) : Piece(slot, part, start, end);
            if (found.Count > 0 && found[^1].Offset + found[^1].Length == piece.Offset) found[^1] = (found[^1].Offset, found[^1].Length + piece.Length);
            else found.Add(piece);
        }
        return found;
    }

    private static (long Offset, long Length) Piece(string slot, SlotPart part, long start, long end)
    {
        var (from, to, last) = (start - part.Parameter, end - part.Parameter, part.Parameters);
        if (from == 0 && to == last) return (part.Offset, part.Length);
        if (part.Grain == 0)
            throw PerennialException.Usage($"optimizer state '{slot}' keeps '{part.Owner}' as a whole, so its parameters cannot be divided among processes at element {from + (from == 0 ? to : 0)}; divide between tensors, or take an element-wise optimizer such as adamw");
        if (from % part.Grain != 0 || (to != last && to % part.Grain != 0))
            throw PerennialException.Usage($"optimizer state '{slot}' keeps '{part.Owner}' in blocks of {part.Grain}, which elements {from} to {to} would cut; divide at multiples of {part.Grain}");
        return (part.Offset + from / part.Grain, (to - from + part.Grain - 1) / part.Grain);
    }

    private static SlotIndex Of(IEnumerable<(string Owner, long Parameter, long Parameters, long Length, long Grain)> stretches)
    {
        var parts = new List<SlotPart>();
        var offset = 0L;
        foreach (var (owner, parameter, parameters, length, grain) in stretches)
        {
            parts.Add(new SlotPart(owner, parameter, parameters, offset, length, grain));
            offset += length;
        }
        return new SlotIndex(parts);
    }
}
