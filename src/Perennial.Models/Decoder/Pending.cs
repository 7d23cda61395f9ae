namespace Perennial.Models;

/// <summary>The residual stream between blocks, its last addition still to be made by the next norm.</summary>
internal readonly unsafe struct Pending(Activation stream, Activation? added, float* bias)
{
    /// <summary>float32 <c>[tokens, width]</c>.</summary>
    public Activation Stream { get; } = stream;

    /// <summary>What a block's last product gave; null before the first block.</summary>
    public Activation? Added { get; } = added;

    /// <summary>That product's bias, or null.</summary>
    public float* Bias { get; } = bias;
}

/// <summary>What every block of one forward pass shares.</summary>
/// <param name="Attention">Sizes.</param>
/// <param name="Starts">For every token the first position it may look at, <c>[batch, time]</c>; null for the row's start.</param>
/// <param name="Dropout">Its dropout masks; null for none.</param>
internal sealed record SequenceShape(AttentionShape Attention, int[]? Starts, DropoutMask? Dropout = null)
{
    /// <summary>Tokens of the whole batch.</summary>
    public long Tokens => (long)Attention.Batch * Attention.Time;
}
