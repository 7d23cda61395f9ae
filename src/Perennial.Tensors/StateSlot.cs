using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>
/// A named flat tensor that belongs to the training state: an optimizer's moment, an average of weights. It is saved, hashed, copied and
/// sent as bytes, so it may have any element type and any length.
/// </summary>
/// <param name="Name">Unique in a run, for example <c>adamw.first-moment</c>.</param>
/// <param name="Values">The tensor, <c>[length]</c>; its owner disposes it.</param>
public sealed record StateSlot(string Name, Tensor Values)
{
    /// <summary>Which of its elements belong to which parameters; null where element i belongs to parameter i (<see cref="SlotIndex.Elementwise"/>).</summary>
    public SlotIndex? Index { get; init; }

    /// <summary>Its bytes.</summary>
    public long Bytes => Values.NumberOfElements * Values.ElementSize;
}
