using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Snapshots;
using Perennial.Training.Parallel;

namespace Perennial.Training.Memory;

/// <summary>
/// Takes the state of a fixed shape back from the managers' memory. All ranks do it together: the leader names a step, each rank reads what it
/// has of it (from the memory that keeps it, or from parity), and nobody's state changes before everybody has all of theirs; else the step
/// before is tried.
/// </summary>
/// <param name="settings">Where snapshots are.</param>
/// <param name="state">This rank's state.</param>
/// <param name="slices">Who copied what.</param>
/// <param name="world">All ranks.</param>
/// <param name="alarm">Takes what was in the way; the leader's is told of all ranks.</param>
internal sealed unsafe class PartRestore(MemorySettings settings, PartBytes state, SnapshotSlices slices, ICommunicator world, Action<string> alarm)
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(2), Patience = TimeSpan.FromSeconds(3);
    private static readonly RestoreSource[] Memory = [RestoreSource.OwnMemory, RestoreSource.Replica, RestoreSource.Parity];

    /// <summary>Restores; every rank calls it.</summary>
    /// <param name="isWorth">Whether a step is wanted: nothing newer is to be had elsewhere. Asked of the leader's alone.</param>
    /// <param name="replacing">Called when this rank's state is about to change.</param>
    /// <returns>What was done; null where memory has nothing that is wanted, and the state is as it was.</returns>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public SlicedReport? Run(Func<long, bool> isWorth, Action replacing)
    {
        var clock = Stopwatch.GetTimestamp();
        var managers = settings.Managers.Values.Distinct().ToList();
        var held = new SlicedRestore(settings.RunId, managers, Timeout).Gather(Patience);
        var found = FoundSnapshot.Among(held, state.SliceBytes(slices) * slices.All.Count, state.LayoutHash).FirstOrDefault(snapshot => snapshot.Tag == slices.Tag);
        var wanted = new Queue<long>(world.Rank == 0 ? Wanted(held, found, isWorth, managers.Count) : []);
        while (true)
        {
            long[] step = [wanted.TryDequeue(out var next) ? next : -1];
            world.Broadcast<long>(step, 0);
            if (step[0] < 0) return null;
            if (Try(step[0], found, replacing) is { } sources) return new(step[0], sources, Stopwatch.GetElapsedTime(clock), []);
        }
    }

    /// <summary>The steps that every slice can be had of, newest first; what cannot be had is told.</summary>
    private List<long> Wanted(IReadOnlyDictionary<SnapshotEndpoint, IReadOnlyList<RankInventory>> held, FoundSnapshot? found, Func<long, bool> isWorth, int managers)
    {
        var steps = (found?.Steps ?? []).Where(isWorth).ToList();
        var choices = steps.Select(step => (Step: step, Choice: found!.At(step))).ToList();
        foreach (var reason in choices.Where(one => one.Choice.Step is null).SelectMany(one => one.Choice.Reasons).Where(reason => reason.StartsWith("step", StringComparison.Ordinal))) alarm(reason);
        var usable = choices.Where(one => one.Choice.Step is not null).Select(one => one.Step).ToList();
        if (usable.Count > 0) return usable;
        if (steps.Count > 0) alarm($"what is left in memory cannot be restored ({held.Count} of {managers} managers answer)");
        else if (found is null && held.Values.SelectMany(ranks => ranks).SelectMany(rank => rank.Slots).Any(slot => slot is { Kind: SlotKind.Data, State: >= SlotState.Prepared } && isWorth(slot.Step)))
            alarm("what is in memory was taken under another shape, or with the ranks on other nodes: it is not used");
        return usable;
    }

    /// <summary>One step: all ranks have it afterwards, or none has changed.</summary>
    private Dictionary<RestoreSource, int>? Try(long step, FoundSnapshot? found, Action replacing)
    {
        var buffer = (byte*)NativeMemory.Alloc((nuint)state.Room);
        try
        {
            var (lines, tally) = (new List<string>(), new long[1 + Memory.Length]);
            var sharers = state.Sharers;
            for (var number = 0; number < sharers.Count; number++)
            {
                var slice = PartBytes.SliceOf(slices, sharers[number]);
                var source = Read(slice, step, found, buffer + number * state.SliceBytes(slices), lines);
                if (source == RestoreSource.Disk) tally[0]++;
                // Shares that several ranks read are counted once.
                else if (sharers[number] == world.Rank) tally[1 + Array.IndexOf(Memory, source)]++;
            }
            world.AllReduce<long>(tally);
            var told = GateExchange.Gather(world, Encoding.UTF8.GetBytes('\n' + string.Join('\n', lines)));
            if (world.Rank == 0) foreach (var line in told.SelectMany(text => Encoding.UTF8.GetString(text).Split('\n', StringSplitOptions.RemoveEmptyEntries)).Distinct()) alarm(line);
            if (tally[0] > 0) return null;
            replacing();
            state.Load((nint)buffer, "the snapshot in memory");
            return Enumerable.Range(0, Memory.Length).Where(i => tally[1 + i] > 0).ToDictionary(i => Memory[i], i => (int)tally[1 + i]);
        }
        finally
        {
            NativeMemory.Free(buffer);
        }
    }

    private RestoreSource Read(SnapshotSlice slice, long step, FoundSnapshot? found, byte* destination, List<string> lines)
    {
        if (found is null)
        {
            lines.Add($"slice {slice.Number}: no manager that answers rank {world.Rank} has it");
            return RestoreSource.Disk;
        }
        var identity = found.Slices[slice.Number];
        var report = new SnapshotRestore(identity, found.GroupOf(identity), found.Managers, Timeout) { Proof = found.ProofOf(identity, step), OnlyProven = true }.Run(step, null, (nint)destination);
        if (report.Source != RestoreSource.OwnMemory) lines.AddRange(report.Lines.Select(line => $"slice {slice.Number} of {slices.All.Count}: {line}"));
        return report.Source;
    }
}
