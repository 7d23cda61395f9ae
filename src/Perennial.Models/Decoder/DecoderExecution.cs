namespace Perennial.Models;

/// <summary>How a decoder computes; nothing here changes what it computes.</summary>
public sealed record DecoderExecution
{
    /// <summary>Whether blocks keep only their input and compute the rest again in backward: less memory, one more forward pass; gradients are equal bit for bit.</summary>
    public bool CheckpointActivations { get; init; }

    /// <summary>
    /// Whether gradients share memory: that of every layer is used up (<see cref="Tensors.FlatParameters.GradientsWritten"/>) before the next one's is
    /// written, so that the whole gradient never exists.
    /// </summary>
    public bool SharedGradients { get; init; }

    /// <summary>
    /// Whether bfloat16 precision uses the processor's bfloat16 products (true) or float32 products of rounded operands
    /// (false); null decides by the processor. Results differ in rounding.
    /// </summary>
    public bool? NativeBfloat16 { get; init; }
}
