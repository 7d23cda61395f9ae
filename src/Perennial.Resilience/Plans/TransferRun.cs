using System.Runtime.InteropServices;

namespace Perennial.Resilience.Plans;

/// <summary>Carries plans out where all buffers can be reached from one process: tests, snapshots in shared memory, conversion.</summary>
public static class TransferRun
{
    /// <summary>Clears the targets and fills them.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="sources">One buffer a source rank.</param>
    /// <param name="targets">One buffer a target rank; none may be a source too.</param>
    /// <param name="written">Told of every write: target rank and copy; the ledger of the transition gate.</param>
    public static void Apply(TransferPlan plan, IReadOnlyList<FlatBytes> sources, IReadOnlyList<FlatBytes> targets, Action<TransferCopy>? written = null)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(sources);
        ArgumentNullException.ThrowIfNull(targets);
        foreach (var target in targets) target.Clear();
        foreach (var copy in plan.Copies)
        {
            Copy(copy, sources[copy.Source], targets[copy.Target]);
            written?.Invoke(copy);
        }
        foreach (var mean in plan.Means)
        {
            Average(mean, source => sources[source], targets[mean.Target]);
            written?.Invoke(new TransferCopy(mean.Sources[0].Rank, mean.Sources[0].Offset, mean.Target, mean.TargetOffset, mean.Length, mean.Count, mean.Sources[0].Stride, mean.TargetStride));
        }
    }

    /// <summary>Carries one copy out.</summary>
    public static void Copy(TransferCopy copy, FlatBytes source, FlatBytes target)
    {
        for (long row = 0; row < copy.Count; row++)
            for (long at = 0; at < copy.Length; at += FlatBytes.Piece)
            {
                var length = (int)Math.Min(FlatBytes.Piece, copy.Length - at);
                source.Slice(copy.SourceOffset + row * copy.SourceStride + at, length).CopyTo(target.Slice(copy.TargetOffset + row * copy.TargetStride + at, length));
            }
    }

    /// <summary>Computes one mean: doubles, by ascending rank, rounded once.</summary>
    /// <param name="mean">What is averaged.</param>
    /// <param name="sources">The buffer of a source rank.</param>
    /// <param name="target">The target rank's buffer.</param>
    public static void Average(TransferMean mean, Func<int, FlatBytes> sources, FlatBytes target)
    {
        ArgumentNullException.ThrowIfNull(mean);
        ArgumentNullException.ThrowIfNull(sources);
        var buffers = mean.Sources.Select(source => (Bytes: sources(source.Rank), source.Offset, source.Stride)).ToArray();
        for (long row = 0; row < mean.Count; row++)
            for (long at = 0; at < mean.Length; at += sizeof(float))
            {
                double sum = 0;
                foreach (var (bytes, offset, stride) in buffers) sum += MemoryMarshal.Read<float>(bytes.Slice(offset + row * stride + at, sizeof(float)));
                var value = (float)(sum / buffers.Length);
                MemoryMarshal.Write(target.Slice(mean.TargetOffset + row * mean.TargetStride + at, sizeof(float)), in value);
            }
    }
}
