using System.Diagnostics;
using System.Globalization;
using Perennial.Resilience.Snapshots;

namespace Perennial.Training.Memory;

/// <summary>Takes a state of which every process has all back from the managers' memory, in the one process that needs it: its peers get it from there.</summary>
internal static class ReplicaRestore
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(2), Patience = TimeSpan.FromSeconds(3);

    /// <summary>Takes the newest whole snapshot that is newer than what there is anyway; says how, or null. For a process that finds nobody alive.</summary>
    /// <param name="settings">Where snapshots are.</param>
    /// <param name="state">The state.</param>
    /// <param name="before">The step that there is anyway, in the state or on disk.</param>
    /// <param name="alarm">Takes what was in the way.</param>
    public static string? Run(MemorySettings settings, StateBytes state, long before, Action<string> alarm)
    {
        var clock = Stopwatch.GetTimestamp();
        var restore = new SlicedRestore(settings.RunId, [.. settings.Managers.Values.Distinct()], Timeout);
        var held = restore.Gather(Patience);
        var found = FoundSnapshot.Among(held, state.Count, state.LayoutHash);
        var done = restore.Run(found, before, state.Count, from => state.Load(from, "the snapshot in memory"));
        foreach (var line in restore.Lines) alarm(line);
        if (done is { } restored) return Words(restored.Report with { Elapsed = Stopwatch.GetElapsedTime(clock) });
        if (found.Any(snapshot => snapshot.Steps.Any(step => step > before)))
            alarm($"what is left in memory cannot be restored ({held.Count} of {settings.Managers.Values.Distinct().Count()} managers answer); {(before > 0 ? $"going on from the checkpoint of step {before} on disk" : "there is no checkpoint on disk: starting over")}");
        return null;
    }

    /// <summary>Whether managers that answer hold anything of a step or of a newer one; whether it can be restored is another question.</summary>
    /// <param name="settings">Where snapshots are.</param>
    /// <param name="state">The state.</param>
    /// <param name="step">The step.</param>
    public static bool Holds(MemorySettings settings, StateBytes state, long step)
    {
        var held = new SlicedRestore(settings.RunId, [.. settings.Managers.Values.Distinct()], Timeout).Gather(TimeSpan.Zero);
        return FoundSnapshot.Among(held, state.Count, state.LayoutHash).Any(snapshot => snapshot.Steps.Any(there => there > 0 && there >= step));
    }

    /// <summary>A restored state in words.</summary>
    public static string Words(SlicedReport report) =>
        string.Create(CultureInfo.InvariantCulture, $"resuming from memory at step {report.Step} ({report}; {report.Elapsed.TotalMilliseconds:F0} ms); no checkpoint was read");
}
