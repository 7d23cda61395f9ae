using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>Looks at, or changes, what flows through a <see cref="PlainDecoder"/>: probes and simulated quantization.</summary>
public interface IActivationFilter
{
    /// <summary>What a block's matrix reads, <c>[batch, time, width]</c>; what is returned is read in its place.</summary>
    Tensor Input(Tensor x, int layer, Projection projection) => x;

    /// <summary>Keys after their rotation, or values, <c>[batch, heads, time, head width]</c>; what is returned takes their place.</summary>
    Tensor Cached(Tensor x, int layer, bool isKey) => x;

    /// <summary>The residual stream, <c>[batch, time, width]</c>: embeddings (number 0), then what every block leaves.</summary>
    void Stream(Tensor x, int number)
    {
    }
}
