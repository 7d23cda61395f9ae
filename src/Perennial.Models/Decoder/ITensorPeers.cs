using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>The processes that compute one layer together. Each calls the same methods in the same order; all end with the same bits.</summary>
public interface ITensorPeers
{
    /// <summary>This process among them.</summary>
    int Rank { get; }

    /// <summary>How many they are.</summary>
    int Size { get; }

    /// <summary>Adds a contiguous tensor (float32 or bfloat16) up over all, in place.</summary>
    void Sum(Tensor partial);

    /// <summary>Adds numbers up over all, in place.</summary>
    void Sum(Span<double> values);

    /// <summary>The greatest of each number over all, in place.</summary>
    void Max(Span<double> values);
}

/// <summary>A process that has its layers for itself.</summary>
public sealed class NoPeers : ITensorPeers
{
    private NoPeers()
    {
    }

    /// <summary>The only one.</summary>
    public static NoPeers Instance { get; } = new();

    /// <inheritdoc/>
    public int Rank => 0;

    /// <inheritdoc/>
    public int Size => 1;

    /// <inheritdoc/>
    public void Sum(Tensor partial)
    {
    }

    /// <inheritdoc/>
    public void Sum(Span<double> values)
    {
    }

    /// <inheritdoc/>
    public void Max(Span<double> values)
    {
    }
}

/// <summary>The rows of the unembedding that this process holds.</summary>
/// <param name="Peers">Who holds the others.</param>
/// <param name="FirstRow">Token id of the first row.</param>
/// <param name="Rows">Rows.</param>
/// <param name="Vocabulary">Rows of all.</param>
public sealed record VocabularyShard(ITensorPeers Peers, int FirstRow, int Rows, int Vocabulary);
