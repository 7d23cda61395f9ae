using static TorchSharp.torch;

namespace Perennial.Tensors;

/// <summary>A named flat tensor that belongs to the training state: an optimizer's moment, an average of weights.</summary>
/// <param name="Name">Unique in a run, for example <c>adamw.first-moment</c>.</param>
/// <param name="Values">The tensor; its owner disposes it.</param>
public sealed record StateSlot(string Name, Tensor Values);
