using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>A state that lies in files of another format: where each part is, and what all of it contains.</summary>
public sealed class ForeignState
{
    private readonly Lazy<StateSummary> summary;

    private ForeignState(StateLayout layout, Func<string, int, FlatBytes> buffer, ProgressRecord progress, bool isMapped, Lazy<StateSummary> summary) =>
        (Layout, Buffer, Progress, IsMapped, this.summary) = (layout, buffer, progress, isMapped, summary);

    /// <summary>Its layout; a rank is whatever can be reached as one buffer (a file, a tensor).</summary>
    public StateLayout Layout { get; }

    /// <summary>The buffer of a slot's rank; asked again and again, in ascending order of ranks for each file that is written.</summary>
    public Func<string, int, FlatBytes> Buffer { get; }

    /// <summary>What is not a tensor.</summary>
    public ProgressRecord Progress { get; }

    /// <summary>Whether buffers cost nothing to ask for, from any thread.</summary>
    public bool IsMapped { get; }

    /// <summary>What it contains: all of it is read through, by the first who asks.</summary>
    public StateSummary Summary => summary.Value;

    /// <summary>Describes a state.</summary>
    /// <param name="layout">Its layout.</param>
    /// <param name="buffer">The buffer of a slot's rank.</param>
    /// <param name="progress">What is not a tensor.</param>
    /// <param name="isMapped">Whether buffers cost nothing to ask for, from any thread: then they are read side by side, else one after another.</param>
    public static ForeignState Of(StateLayout layout, Func<string, int, FlatBytes> buffer, ProgressRecord progress, bool isMapped = false)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(buffer);
        return new(layout, buffer, progress, isMapped, new(() =>
        {
            var evidence = new RankEvidence[layout.Ranks];
            Concurrent.For(layout.Ranks, isMapped ? Concurrent.Files : 1, rank => evidence[rank] = RankEvidence.Gather(layout, rank, layout.Slots.ToDictionary(slot => slot.Slot.Name, slot => buffer(slot.Slot.Name, rank)), progress));
            return StateSummary.Of(layout, evidence);
        }));
    }
}
