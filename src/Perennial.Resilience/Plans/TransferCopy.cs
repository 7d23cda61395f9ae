namespace Perennial.Resilience.Plans;

/// <summary>
/// <paramref name="Count"/> blocks of <paramref name="Length"/> bytes from one rank's buffer to another's. All offsets are bytes.
/// </summary>
/// <param name="Source">The rank that has them.</param>
/// <param name="SourceOffset">First byte in its buffer.</param>
/// <param name="Target">The rank that needs them; equal to the source for a local copy.</param>
/// <param name="TargetOffset">First byte in its new buffer.</param>
/// <param name="Length">Bytes of one block.</param>
/// <param name="Count">Blocks.</param>
/// <param name="SourceStride">From one block to the next at the source; 0 for one block.</param>
/// <param name="TargetStride">From one block to the next at the target; 0 for one block.</param>
public readonly record struct TransferCopy(int Source, long SourceOffset, int Target, long TargetOffset, long Length, long Count = 1, long SourceStride = 0, long TargetStride = 0)
{
    /// <summary>Bytes copied.</summary>
    public long Bytes => Length * Count;

    /// <summary>Whether no other rank is involved.</summary>
    public bool Local => Source == Target;

    /// <summary>The copy as contiguous ones, one a block.</summary>
    public IEnumerable<TransferCopy> Blocks()
    {
        for (long i = 0; i < Count; i++)
            yield return new(Source, SourceOffset + i * SourceStride, Target, TargetOffset + i * TargetStride, Length);
    }

    /// <summary>The same bytes in the simplest form.</summary>
    internal TransferCopy Normal() =>
        Count == 1 ? this with { SourceStride = 0, TargetStride = 0 } :
        SourceStride == Length && TargetStride == Length ? this with { Length = Bytes, Count = 1, SourceStride = 0, TargetStride = 0 } : this;

    /// <summary>This copy with <paramref name="next"/> behind it as one, or null. Both are of the same two ranks.</summary>
    internal TransferCopy? Joined(TransferCopy next)
    {
        if (Count == 1 && next.Count == 1)
            return SourceOffset + Length == next.SourceOffset && TargetOffset + Length == next.TargetOffset ? this with { Length = Length + next.Length } : null;
        if (Count == 1 || Length != next.Length || (next.Count > 1 && (next.SourceStride != SourceStride || next.TargetStride != TargetStride))) return null;
        return SourceOffset + Count * SourceStride == next.SourceOffset && TargetOffset + Count * TargetStride == next.TargetOffset ? this with { Count = Count + next.Count } : null;
    }
}

/// <summary>Where one of several averaged values lies.</summary>
/// <param name="Rank">The rank.</param>
/// <param name="Offset">First byte in its buffer.</param>
/// <param name="Stride">From one block to the next; 0 for one block.</param>
public readonly record struct MeanSource(int Rank, long Offset, long Stride);

/// <summary>Float32 values at the target that are the mean of several ranks' values, summed in double precision by ascending rank.</summary>
/// <param name="Target">The rank that needs them.</param>
/// <param name="TargetOffset">First byte in its new buffer.</param>
/// <param name="TargetStride">From one block to the next at the target; 0 for one block.</param>
/// <param name="Length">Bytes of one block.</param>
/// <param name="Count">Blocks.</param>
/// <param name="Sources">By ascending rank; at least two.</param>
public sealed record TransferMean(int Target, long TargetOffset, long TargetStride, long Length, long Count, IReadOnlyList<MeanSource> Sources)
{
    /// <summary>Bytes at the target.</summary>
    public long Bytes => Length * Count;
}
