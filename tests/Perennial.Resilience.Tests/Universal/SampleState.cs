using System.Buffers.Binary;
using Perennial.Core.Safetensors;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Resilience.Tests.Layouts;
using Perennial.Resilience.Universal;

namespace Perennial.Resilience.Tests.Universal;

/// <summary>A small model with float32 master, bfloat16 copy and two moments; content is a function of the logical place.</summary>
internal static class SampleState
{
    public static RandomLayouts.Model Model { get; } = new(2, 8, 4, 2, 12, 37, Fused: true, Tied: true, ByGroup: false, Multiple: 2);

    public static IReadOnlyList<StateSlot> Slots { get; } = [
        new("weight", SlotRole.Optimizer), new("weight.bf16", SlotRole.Weight, SafetensorsType.BF16, "weight"), new("adam.m", SlotRole.Optimizer), new("adam.v", SlotRole.Optimizer)];

    public static ProgressRecord Progress { get; } = new(
        120, 4_000, 960, new Dictionary<string, ulong> { ["dropout"] = 7, ["data"] = 9 }, new Dictionary<string, long> { ["adam.step"] = 120 }, new Dictionary<string, string> { ["schedule"] = "0.25" });

    public static StateLayout Layout(string shape, bool interleave = false) =>
        StateLayout.Build(Model.Tensors(), Model.Rules, ParallelShape.Parse(shape), Slots, new LayoutOptions(8, interleave));

    /// <summary>The buffers of all ranks, by slot.</summary>
    public static Dictionary<string, FlatBytes>[] Fill(StateLayout layout) =>
        [.. Enumerable.Range(0, layout.Ranks).Select(rank => layout.Slots.ToDictionary(slot => slot.Slot.Name, slot => FlatBytes.Of(Buffer(slot, rank))))];

    /// <summary>Empty buffers of all ranks.</summary>
    public static Dictionary<string, FlatBytes>[] Empty(StateLayout layout) =>
        [.. Enumerable.Range(0, layout.Ranks).Select(rank => layout.Slots.ToDictionary(slot => slot.Slot.Name, slot => FlatBytes.Of(new byte[slot.Layout.Ranks[rank].Bytes])))];

    public static byte[] Bytes(FlatBytes buffer) => buffer.Slice(0, (int)buffer.Length).ToArray();

    private static byte[] Buffer(SlotLayout slot, int rank)
    {
        var bytes = new byte[slot.Layout.Ranks[rank].Bytes];
        var reading = RandomLayouts.Reading(slot.Layout, rank);
        for (var at = 0; at < bytes.Length; at += slot.Slot.Type.Size())
        {
            if (reading[at] is not { } place) continue;
            var element = place.Offset / slot.Slot.Type.Size();
            if (slot.Slot.Type == SafetensorsType.BF16) BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(at), Rounding.BFloat16(Value("weight", place.Tensor, element)));
            else BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(at), Value(slot.Slot.Name, place.Tensor, element));
        }
        return bytes;
    }

    private static float Value(string slot, string tensor, long element) =>
        (RandomLayouts.Value(slot + tensor, 2 * element) * 256 + RandomLayouts.Value(slot + tensor, 2 * element + 1) - 32768) / 1000f;
}
