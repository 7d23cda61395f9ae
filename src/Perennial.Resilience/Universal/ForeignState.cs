using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>A state that lies in files of another format: where each part is, and what all of it contains.</summary>
/// <param name="Layout">Its layout; a rank is whatever can be reached as one buffer (a file, a tensor).</param>
/// <param name="Buffer">The buffer of a slot's rank; asked again and again, in ascending order of ranks for each file that is written.</param>
/// <param name="Summary">What it contains.</param>
public sealed record ForeignState(StateLayout Layout, Func<string, int, FlatBytes> Buffer, StateSummary Summary)
{
    /// <summary>Reads a state through once, one buffer after another, and describes it.</summary>
    /// <param name="layout">Its layout.</param>
    /// <param name="buffer">The buffer of a slot's rank.</param>
    /// <param name="progress">What is not a tensor.</param>
    public static ForeignState Of(StateLayout layout, Func<string, int, FlatBytes> buffer, ProgressRecord progress)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(buffer);
        var evidence = Enumerable.Range(0, layout.Ranks).Select(rank => RankEvidence.Gather(layout, rank, layout.Slots.ToDictionary(slot => slot.Slot.Name, slot => buffer(slot.Slot.Name, rank)), progress));
        return new(layout, buffer, StateSummary.Of(layout, [.. evidence]));
    }
}
