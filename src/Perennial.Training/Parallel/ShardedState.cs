using Perennial.Core;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;
using Perennial.Tensors;
using TorchSharp;
using StateSlot = Perennial.Tensors.StateSlot;

namespace Perennial.Training.Parallel;

/// <summary>A rank's training state as the buffers that layouts, plans and universal checkpoints speak of.</summary>
public sealed class ShardedState
{
    private readonly IReadOnlyList<SlotHolding> holdings;
    private StateLayout? layout;

    /// <summary>Describes a state.</summary>
    /// <param name="decoder">The rank's part.</param>
    /// <param name="optimizer">Slots of its optimizer.</param>
    /// <param name="others">Slots that follow the weights (averages of practices).</param>
    public ShardedState(ParallelDecoder decoder, IReadOnlyList<StateSlot> optimizer, IReadOnlyList<StateSlot>? others = null)
    {
        ArgumentNullException.ThrowIfNull(decoder);
        ArgumentNullException.ThrowIfNull(optimizer);
        (Decoder, Slots) = (decoder, [.. optimizer, .. others ?? []]);
        var global = decoder.Placement.Global;
        holdings = [.. SlotPlacement.Describe(global, decoder.Trained.Layout, optimizer, areOptimizers: true), .. SlotPlacement.Describe(global, decoder.Kept.Layout, others ?? [], areOptimizers: false)];
    }

    /// <summary>The rank's part.</summary>
    public ParallelDecoder Decoder { get; }

    /// <summary>Slots beside the weights, in order.</summary>
    public IReadOnlyList<StateSlot> Slots { get; }

    /// <summary>The layout of the whole state, over all ranks.</summary>
    /// <exception cref="InvalidOperationException">The ranks have not met.</exception>
    public StateLayout Layout => layout ?? throw new InvalidOperationException("the ranks have not told each other what they have");

    /// <summary>What every rank has, by rank: with the placement, what the layout is made of.</summary>
    internal IReadOnlyList<IReadOnlyList<SlotHolding>> Holdings { get; private set; } = [];

    /// <summary>Finds the layout with the other ranks; every rank of the decoder's world calls it after joining.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    /// <exception cref="PerennialException">Exit 2: a slot does not have one element a parameter, and does not say which parameters its elements are about.</exception>
    public void Meet() => Meet(Decoder.Groups.World);

    /// <summary>The same among more processes than the shape has ranks: these come first, the others <see cref="Listen"/>.</summary>
    /// <param name="everyone">All of them.</param>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    internal void Meet(ICommunicator everyone)
    {
        Holdings = SlotPlacement.Gather(Decoder.Placement.Shape.Ranks, everyone, holdings);
        var met = SlotPlacement.Layout(Decoder.Placement, Holdings);
        foreach (var slot in Slots)
        {
            var wanted = met.Find(slot.Name)!.Layout.Ranks[Decoder.Rank].Bytes;
            var bytes = slot.Values.NumberOfElements * slot.Values.ElementSize;
            if (bytes != wanted)
                throw PerennialException.Usage($"parallel: slot '{slot.Name}' is {slot.Values.dtype} of {bytes} bytes, but rank {Decoder.Rank} has {wanted} bytes of parameters for it, so it cannot be cut with them; use data parallelism alone (zero: 0)");
        }
        layout = met;
    }

    /// <summary>The layout that others find by <see cref="Meet(ICommunicator)"/>, for a process that has no place in it.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    internal static StateLayout Listen(DecoderPlacement placement, ICommunicator everyone) =>
        SlotPlacement.Layout(placement, SlotPlacement.Gather(placement.Shape.Ranks, everyone, []));

    /// <summary>The buffers of the state as it is now.</summary>
    public IReadOnlyDictionary<string, FlatBytes> Buffers() => Buffers(Decoder.Kept.Values, Slots);

    /// <summary>Buffers of a copy of the state; what other ranks alone have is empty here.</summary>
    /// <param name="weights">The copied weights.</param>
    /// <param name="slots">The copied slots.</param>
    public IReadOnlyDictionary<string, FlatBytes> Buffers(torch.Tensor weights, IEnumerable<StateSlot> slots)
    {
        var buffers = Whole(weights, slots);
        foreach (var slot in Layout.Slots) buffers.TryAdd(slot.Slot.Name, FlatBytes.At(0, 0));
        return buffers;
    }

    /// <summary>Buffers of a state that one process has all of.</summary>
    /// <param name="weights">The weights.</param>
    /// <param name="slots">Every slot.</param>
    public static Dictionary<string, FlatBytes> Whole(torch.Tensor weights, IEnumerable<StateSlot> slots)
    {
        ArgumentNullException.ThrowIfNull(slots);
        var buffers = slots.ToDictionary(slot => slot.Name, slot => Bytes(slot.Values), StringComparer.Ordinal);
        buffers.Add(DecoderPlacement.Weights, Bytes(weights));
        return buffers;
    }

    private static FlatBytes Bytes(torch.Tensor values) => FlatBytes.At(TensorMemory.Pointer(values), values.NumberOfElements * values.ElementSize);
}
