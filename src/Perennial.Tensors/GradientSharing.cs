namespace Perennial.Tensors;

/// <summary>Where gradients lie in a buffer smaller than the parameters, because some of them take turns in the same memory.</summary>
/// <param name="Offsets">Entry → first element.</param>
/// <param name="Length">Elements of the buffer.</param>
public sealed record GradientSharing(IReadOnlyDictionary<string, long> Offsets, long Length);
