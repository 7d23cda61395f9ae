using System.Runtime.InteropServices;
using System.Text.Json;
using Perennial.Core.Safetensors;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>What a rank found in its buffer of one slot.</summary>
/// <param name="Slot">The slot.</param>
/// <param name="Regions">Digests of the regions it holds, in the order of tensors and regions of the layout.</param>
/// <param name="Rounded">The same for the values rounded to each slot that is a low-precision copy of this one.</param>
/// <param name="Faults">What is wrong that needs no comparison: bytes not filled, filled twice, padding that is not zero.</param>
public sealed record SlotEvidence(string Slot, IReadOnlyList<ContentDigest> Regions, IReadOnlyDictionary<string, IReadOnlyList<ContentDigest>> Rounded, IReadOnlyList<string> Faults);

/// <summary>What a rank tells the transition gate. Small: digests, no tensors.</summary>
/// <param name="Rank">The rank.</param>
/// <param name="Slots">One entry a slot.</param>
/// <param name="Progress">Its state that is not a tensor.</param>
public sealed record RankEvidence(int Rank, IReadOnlyList<SlotEvidence> Slots, ProgressRecord Progress)
{
    /// <summary>Looks through a rank's buffers. Needs nothing from other ranks.</summary>
    /// <param name="layout">The layout the buffers have.</param>
    /// <param name="rank">The rank.</param>
    /// <param name="buffers">Its buffer of each slot.</param>
    /// <param name="progress">Its state that is not a tensor.</param>
    /// <param name="ledgers">What was written into each buffer since it was empty; null where nothing was transferred (before a save).</param>
    public static RankEvidence Gather(StateLayout layout, int rank, IReadOnlyDictionary<string, FlatBytes> buffers, ProgressRecord progress, IReadOnlyDictionary<string, FillLedger>? ledgers = null)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(buffers);
        return new(rank, [.. layout.Slots.Select(slot => Gather(layout, slot, rank, buffers, ledgers))], progress);
    }

    /// <summary>The evidence as it travels between processes.</summary>
    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, UniversalJson.Options);

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="JsonException">It is something else.</exception>
    public static RankEvidence FromJson(ReadOnlySpan<byte> json) => JsonSerializer.Deserialize<RankEvidence>(json, UniversalJson.Options)!;

    private static SlotEvidence Gather(StateLayout layout, SlotLayout slot, int rank, IReadOnlyDictionary<string, FlatBytes> buffers, IReadOnlyDictionary<string, FillLedger>? ledgers)
    {
        var name = slot.Slot.Name;
        var shape = slot.Layout.Ranks[rank];
        if (!buffers.TryGetValue(name, out var buffer)) return new(name, [], new Dictionary<string, IReadOnlyList<ContentDigest>>(), ["there is no buffer"]);
        if (buffer.Length != shape.Bytes) return new(name, [], new Dictionary<string, IReadOnlyList<ContentDigest>>(), [$"the buffer has {buffer.Length} bytes instead of {shape.Bytes}"]);
        var faults = new List<string>();
        if (ledgers is not null)
        {
            var problem = ledgers.TryGetValue(name, out var ledger) ? ledger.Problem(shape) : "nothing was filled";
            if (problem is not null) faults.Add(problem);
        }
        if (Padding(shape, buffer) is { } dirty) faults.Add($"padding at byte {dirty} is not zero");
        var regions = LayoutRegions.Of(slot.Layout);
        var copies = layout.Slots.Where(other => other.Slot.RoundedFrom == name).ToDictionary(
            other => other.Slot.Name, other => (IReadOnlyList<ContentDigest>)[.. Held(slot, regions, rank).Select(held => Digest(held.Tensor, held.Width, held.Patch, buffer, other.Slot.Type))]);
        return new(name, [.. Held(slot, regions, rank).Select(held => Digest(held.Tensor, held.Width, held.Patch, buffer, null))], copies, faults);
    }

    private static IEnumerable<(LogicalTensor Tensor, long Width, Patch Patch)> Held(SlotLayout slot, LayoutRegions regions, int rank)
    {
        for (var tensor = 0; tensor < slot.Layout.Tensors.Count; tensor++)
            foreach (var region in regions.Tensors[tensor])
                foreach (var holder in region.Holders)
                    if (holder.Rank == rank) yield return (slot.Layout.Tensors[tensor], regions.Widths[tensor], holder.Patch);
    }

    private static ContentDigest Digest(LogicalTensor tensor, long width, Patch patch, FlatBytes buffer, SafetensorsType? rounding)
    {
        var digest = default(ContentDigest);
        for (long row = 0; row < patch.Block.Rows; row++)
            for (long column = 0; column < patch.Block.Columns; column += FlatBytes.Piece)
            {
                var bytes = buffer.Slice(patch.Local + row * patch.Stride + column, (int)Math.Min(FlatBytes.Piece, patch.Block.Columns - column));
                var first = ((patch.Block.Row + row) * width + patch.Block.Column + column) / tensor.ElementBytes;
                digest += rounding is { } type ? Rounding.Digest(MemoryMarshal.Cast<byte, float>(bytes), type, first) : ContentDigest.Of(bytes, tensor.ElementBytes, first);
            }
        return digest;
    }

    private static long? Padding(RankBuffer shape, FlatBytes buffer)
    {
        long at = 0;
        foreach (var (offset, length) in FillLedger.Covered(shape).Append((shape.Bytes, 0)))
        {
            for (; at < offset; at += FlatBytes.Piece)
            {
                var dirty = buffer.Slice(at, (int)Math.Min(FlatBytes.Piece, offset - at)).IndexOfAnyExcept((byte)0);
                if (dirty >= 0) return at + dirty;
            }
            at = offset + length;
        }
        return null;
    }
}

/// <summary>Float32 rounded to nearest even, as low-precision copies of weights are made.</summary>
internal static class Rounding
{
    private const int Block = 1024;

    public static ContentDigest Digest(ReadOnlySpan<float> values, SafetensorsType type, long first)
    {
        Span<ushort> rounded = stackalloc ushort[Block];
        var digest = default(ContentDigest);
        for (var at = 0; at < values.Length; at += Block)
        {
            var part = values.Slice(at, Math.Min(Block, values.Length - at));
            for (var i = 0; i < part.Length; i++) rounded[i] = type == SafetensorsType.BF16 ? BFloat16(part[i]) : BitConverter.HalfToUInt16Bits((Half)part[i]);
            digest += ContentDigest.Of(MemoryMarshal.AsBytes(rounded[..part.Length]), sizeof(ushort), first + at);
        }
        return digest;
    }

    public static ushort BFloat16(float value)
    {
        if (float.IsNaN(value)) return 0x7FC0;
        var bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)(bits + 0x7FFF + (bits >> 16 & 1) >> 16);
    }
}
