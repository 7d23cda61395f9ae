using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>A state that lies in files of another format: where each part is, and what all of it contains.</summary>
/// <param name="Layout">Its layout; a rank is whatever can be reached as one buffer (a file, a tensor).</param>
/// <param name="Buffer">The buffer of a slot's rank; asked again and again, in ascending order of ranks for each file that is written.</param>
/// <param name="Summary">What it contains.</param>
public sealed record ForeignState(StateLayout Layout, Func<string, int, FlatBytes> Buffer, StateSummary Summary)
{
    /// <summary>Reads a state through once and describes it.</summary>
    /// <param name="layout">Its layout.</param>
    /// <param name="buffer">The buffer of a slot's rank.</param>
    /// <param name="progress">What is not a tensor.</param>
    /// <param name="isMapped">Whether buffers cost nothing to ask for, from any thread: then they are read side by side, else one after another.</param>
    public static ForeignState Of(StateLayout layout, Func<string, int, FlatBytes> buffer, ProgressRecord progress, bool isMapped = false)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(buffer);
        var evidence = Enumerable.Range(0, layout.Ranks).AsParallel().AsOrdered().WithDegreeOfParallelism(isMapped ? Math.Min(Environment.ProcessorCount, 64) : 1).Select(rank => RankEvidence.Gather(layout, rank, layout.Slots.ToDictionary(slot => slot.Slot.Name, slot => buffer(slot.Slot.Name, rank)), progress));
        return new(layout, buffer, StateSummary.Of(layout, [.. evidence]));
    }
}
