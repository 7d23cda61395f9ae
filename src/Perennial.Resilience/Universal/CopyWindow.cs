using Perennial.Core;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>Makes a target buffer window by window from the copies of its plan, so that it never exists as a whole.</summary>
internal sealed class CopyWindow
{
    private readonly List<TransferCopy> copies;
    private readonly Func<int, FlatBytes> source;
    private readonly IReadOnlyList<(long Offset, byte[] Bytes)> means;
    private int first;
    private long served;

    /// <param name="plan">A plan for one target rank. Means are computed at once; they are small by nature.</param>
    /// <param name="source">The buffer of a source rank.</param>
    public CopyWindow(TransferPlan plan, Func<int, FlatBytes> source)
    {
        copies = [.. plan.Copies.OrderBy(copy => copy.TargetOffset)];
        this.source = source;
        means = [.. plan.Means.Select(mean => Compute(mean, source))];
    }

    /// <summary>Fills <paramref name="destination"/> with the target's bytes from <paramref name="from"/> on; windows come in ascending order.</summary>
    public void Fill(long from, Span<byte> destination)
    {
        if (from < served) throw new ArgumentOutOfRangeException(nameof(from), from, "windows come in ascending order");
        served = from;
        var to = from + destination.Length;
        destination.Clear();
        while (first < copies.Count && End(copies[first]) <= from) first++;
        for (var i = first; i < copies.Count && copies[i].TargetOffset < to; i++)
        {
            var copy = copies[i];
            var row = copy.Count == 1 || from <= copy.TargetOffset ? 0 : (from - copy.TargetOffset) / copy.TargetStride;
            for (; row < copy.Count; row++)
            {
                var target = copy.TargetOffset + row * copy.TargetStride;
                if (target >= to) break;
                long start = Math.Max(target, from), end = Math.Min(target + copy.Length, to);
                if (start >= end) continue;
                source(copy.Source).Slice(copy.SourceOffset + row * copy.SourceStride + (start - target), (int)(end - start)).CopyTo(destination[(int)(start - from)..]);
            }
        }
        foreach (var (offset, bytes) in means)
        {
            long start = Math.Max(offset, from), end = Math.Min(offset + bytes.Length, to);
            if (start < end) bytes.AsSpan((int)(start - offset), (int)(end - start)).CopyTo(destination[(int)(start - from)..]);
        }
    }

    private static (long Offset, byte[] Bytes) Compute(TransferMean mean, Func<int, FlatBytes> source)
    {
        if (mean.Count > 1) throw PerennialException.Usage("averaged tensors that are cut along an inner dimension cannot be written to files");
        var bytes = new byte[mean.Length];
        TransferRun.Average(mean with { TargetOffset = 0 }, source, FlatBytes.Of(bytes));
        return (mean.TargetOffset, bytes);
    }

    private static long End(TransferCopy copy) => copy.TargetOffset + (copy.Count - 1) * copy.TargetStride + copy.Length;
}
