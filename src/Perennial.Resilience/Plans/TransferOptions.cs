namespace Perennial.Resilience.Plans;

/// <summary>What a plan must respect.</summary>
/// <param name="Lost">Ranks whose old buffers are gone; they may still be targets (a replacement under the old number).</param>
/// <param name="RanksPerNode">Consecutive ranks that share a node and are preferred as sources; 1 for no preference.</param>
/// <param name="Unused">Whether source tensors that the target lacks are dropped without a word; otherwise they are an error.</param>
/// <param name="Means">Whether values that may differ between replicas are averaged; otherwise a target takes its own, or one of them.</param>
public sealed record TransferOptions(IReadOnlySet<int>? Lost = null, int RanksPerNode = 1, bool Unused = false, bool Means = true)
{
    /// <summary>Nothing lost, no nodes, nothing dropped.</summary>
    public static TransferOptions Default { get; } = new();
}
