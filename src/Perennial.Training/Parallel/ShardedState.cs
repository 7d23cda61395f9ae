using Perennial.Core;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Tensors;
using TorchSharp;
using StateSlot = Perennial.Tensors.StateSlot;

namespace Perennial.Training.Parallel;

/// <summary>A rank's training state as the buffers that layouts, plans and universal checkpoints speak of.</summary>
public sealed class ShardedState
{
    /// <summary>Describes a state.</summary>
    /// <param name="decoder">The rank's part.</param>
    /// <param name="optimizer">Slots of its optimizer.</param>
    /// <param name="others">Slots that follow the weights (averages of practices).</param>
    /// <exception cref="PerennialException">Exit 2: a slot does not have one element a parameter, so that it cannot be cut with them.</exception>
    public ShardedState(ParallelDecoder decoder, IReadOnlyList<StateSlot> optimizer, IReadOnlyList<StateSlot>? others = null)
    {
        ArgumentNullException.ThrowIfNull(decoder);
        ArgumentNullException.ThrowIfNull(optimizer);
        (Decoder, Slots) = (decoder, [.. optimizer, .. others ?? []]);
        Layout = decoder.Placement.State([.. optimizer.Select(slot => (slot.Name, true)), .. (others ?? []).Select(slot => (slot.Name, false))]);
        foreach (var slot in Slots)
        {
            var wanted = Layout.Find(slot.Name)!.Layout.Ranks[decoder.Rank].Bytes;
            var bytes = slot.Values.NumberOfElements * slot.Values.ElementSize;
            if (slot.Index is not null || slot.Values.dtype != torch.ScalarType.Float32 || bytes != wanted)
                throw PerennialException.Usage($"parallel: slot '{slot.Name}' is {slot.Values.dtype} of {bytes} bytes, but rank {decoder.Rank} has {wanted} bytes of float32 parameters for it: state that is not one number a parameter cannot be cut; use data parallelism alone (zero: 0)");
        }
    }

    /// <summary>The rank's part.</summary>
    public ParallelDecoder Decoder { get; }

    /// <summary>Slots beside the weights, in order.</summary>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <summary>The layout of the whole state, over all ranks.</summary>
    public StateLayout Layout { get; }

    /// <summary>The buffers of the state as it is now.</summary>
    public IReadOnlyDictionary<string, FlatBytes> Buffers() => Buffers(Decoder.Kept.Values, Slots);

    /// <summary>Buffers of a copy of the state.</summary>
    /// <param name="weights">The copied weights.</param>
    /// <param name="slots">The copied slots.</param>
    public static IReadOnlyDictionary<string, FlatBytes> Buffers(torch.Tensor weights, IEnumerable<StateSlot> slots)
    {
        ArgumentNullException.ThrowIfNull(slots);
        var buffers = slots.ToDictionary(slot => slot.Name, slot => Bytes(slot.Values), StringComparer.Ordinal);
        buffers.Add(DecoderPlacement.Weights, Bytes(weights));
        return buffers;
    }

    private static FlatBytes Bytes(torch.Tensor values) => FlatBytes.At(TensorMemory.Pointer(values), values.NumberOfElements * values.ElementSize);
}
