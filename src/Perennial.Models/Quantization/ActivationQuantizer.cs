using static TorchSharp.torch;

namespace Perennial.Models.Quantization;

/// <summary>
/// Simulated quantization of activations and of the key-value cache, dynamic and asymmetric: a scale for every token (what the projection out
/// of attention reads: for every token and head), keys and values for every token and group of 128 of a head's width (Park et al. 2025).
/// </summary>
/// <param name="activations">Bits of what matrices read; 16 for no rounding.</param>
/// <param name="cache">Bits of keys and values; 16 for no rounding.</param>
/// <param name="headWidth">Width of a head.</param>
public sealed class ActivationQuantizer(int activations, int cache, int headWidth) : IActivationFilter
{
    private const int CacheGroup = 128;

    /// <inheritdoc/>
    public Tensor Input(Tensor x, int layer, Projection projection) => RoundToNearest.Activations(x, activations, projection == Projection.AttentionOut ? headWidth : 0);

    /// <inheritdoc/>
    public Tensor Cached(Tensor x, int layer, bool isKey) => RoundToNearest.Activations(x, cache, CacheGroup);
}
