using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>What was written into one rank's buffer of one slot; proves that everything was filled exactly once.</summary>
public sealed class FillLedger
{
    private readonly List<(long Offset, long Length)> writes = [];

    /// <summary>Notes a copy that has been carried out.</summary>
    public void Note(TransferCopy copy)
    {
        for (long row = 0; row < copy.Count; row++) Note(copy.TargetOffset + row * copy.TargetStride, copy.Length);
    }

    /// <summary>Notes a contiguous write.</summary>
    public void Note(long offset, long length)
    {
        if (writes.Count > 0 && writes[^1].Offset + writes[^1].Length == offset) writes[^1] = (writes[^1].Offset, writes[^1].Length + length);
        else writes.Add((offset, length));
    }

    /// <summary>What is wrong with the filling of a buffer, in words; null when every byte of every run was written once and nothing else was.</summary>
    public string? Problem(RankBuffer buffer)
    {
        ArgumentNullException.ThrowIfNull(buffer);
        var sorted = writes.Where(write => write.Length > 0).Order().ToList();
        for (var i = 1; i < sorted.Count; i++)
            if (sorted[i - 1].Offset + sorted[i - 1].Length > sorted[i].Offset) return $"bytes from {sorted[i].Offset} on were filled twice";
        var wanted = Joined(Covered(buffer));
        var filled = Joined(sorted);
        for (var i = 0; i < Math.Max(wanted.Count, filled.Count); i++)
        {
            if (i < wanted.Count && i < filled.Count && wanted[i] == filled[i]) continue;
            // The first place where the two lists part: either a byte was left out or one too many was written.
            var want = i < wanted.Count ? wanted[i] : (Offset: long.MaxValue, Length: 0);
            var fill = i < filled.Count ? filled[i] : (Offset: long.MaxValue, Length: 0);
            if (fill.Offset < want.Offset) return $"bytes from {fill.Offset} on were filled, where padding is or nothing should be";
            var gap = fill.Offset > want.Offset ? want.Offset : want.Offset + Math.Min(want.Length, fill.Length);
            return fill.Offset == want.Offset && fill.Length > want.Length ? $"bytes from {gap} on were filled, where padding is or nothing should be" : $"bytes from {gap} on were never filled";
        }
        return null;
    }

    /// <summary>The stretches of a buffer that runs cover, by offset.</summary>
    internal static List<(long Offset, long Length)> Covered(RankBuffer buffer)
    {
        var covered = new List<(long, long)>();
        foreach (var run in buffer.Runs)
            for (long block = 0; block < run.Count; block++) covered.Add((run.Local + block * run.LocalStride, run.Length));
        covered.Sort();
        return Joined(covered);
    }

    private static List<(long Offset, long Length)> Joined(List<(long Offset, long Length)> sorted)
    {
        var joined = new List<(long Offset, long Length)>();
        foreach (var (offset, length) in sorted)
        {
            if (joined.Count > 0 && joined[^1].Offset + joined[^1].Length == offset) joined[^1] = (joined[^1].Offset, joined[^1].Length + length);
            else joined.Add((offset, length));
        }
        return joined;
    }
}
