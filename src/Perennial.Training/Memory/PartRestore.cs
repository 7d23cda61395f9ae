using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Snapshots;
using Perennial.Training.Parallel;

namespace Perennial.Training.Memory;

/// <summary>What a process can read of a fixed shape's snapshots: it knows their arrangement, and the places whose state it takes.</summary>
/// <param name="Sizes">What ranks have under it.</param>
/// <param name="Slices">Who copied what.</param>
/// <param name="Places">The places that are read here: its own, and those of lost ranks that it stands in for.</param>
internal sealed record PartReader(PartSizes Sizes, SnapshotSlices Slices, IReadOnlyList<int> Places);

/// <summary>
/// Takes the state of a fixed shape back from the managers' memory. All ranks do it together: the leader names a step, each rank reads what it
/// has of it (from the memory that keeps it, or from parity), and nobody's state changes before everybody has all of theirs; else the step
/// before is tried.
/// </summary>
/// <param name="settings">Where snapshots are.</param>
/// <param name="mine">What is read here; null for a process that only waits for the others.</param>
/// <param name="world">All that take part.</param>
/// <param name="leader">The rank that chooses among steps; it reads something.</param>
/// <param name="alarm">Takes what was in the way, of all ranks.</param>
/// <param name="isOver">Whether all that still live have given their snapshots up: what is half copied stays so, and is not waited for.</param>
internal sealed unsafe class PartRestore(MemorySettings settings, PartReader? mine, ICommunicator world, int leader, Action<string> alarm, bool isOver)
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(2), Patience = TimeSpan.FromSeconds(3);
    private static readonly RestoreSource[] Memory = [RestoreSource.OwnMemory, RestoreSource.Replica, RestoreSource.Parity];

    /// <summary>Restores; every rank calls it.</summary>
    /// <param name="isWorth">Whether a step is wanted: nothing newer is to be had elsewhere. Asked of the leader's alone.</param>
    /// <param name="take">Takes what was read, one place after another, when everyone has theirs; 0 where nothing is read here.</param>
    /// <returns>What was done; null where memory has nothing that is wanted, and the state is as it was.</returns>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public SlicedReport? Run(Func<long, bool> isWorth, Action<nint> take)
    {
        var clock = Stopwatch.GetTimestamp();
        var managers = settings.Managers.Values.Distinct().ToList();
        var held = mine is null ? null : new SlicedRestore(settings.RunId, managers, Timeout) { IsOver = isOver }.Gather(Patience);
        var found = mine is null ? null : FoundSnapshot.Among(held!, mine.Sizes.Share * mine.Slices.All.Count, mine.Sizes.LayoutHash).FirstOrDefault(snapshot => snapshot.Tag == mine.Slices.Tag);
        var lines = new List<string>();
        var wanted = new Queue<long>(world.Rank == leader ? Wanted(held!, found, isWorth, managers.Count, lines) : []);
        TellAll(lines);
        while (true)
        {
            long[] step = [wanted.TryDequeue(out var next) ? next : -1];
            world.Broadcast<long>(step, leader);
            if (step[0] < 0) return null;
            if (Try(step[0], found, take) is { } sources) return new(step[0], sources, Stopwatch.GetElapsedTime(clock), []);
        }
    }

    /// <summary>The steps that every slice can be had of, newest first; what cannot be had is told.</summary>
    private static List<long> Wanted(IReadOnlyDictionary<SnapshotEndpoint, IReadOnlyList<RankInventory>> held, FoundSnapshot? found, Func<long, bool> isWorth, int managers, List<string> lines)
    {
        var steps = (found?.Steps ?? []).Where(isWorth).ToList();
        var choices = steps.Select(step => (Step: step, Choice: found!.At(step))).ToList();
        lines.AddRange(choices.Where(one => one.Choice.Step is null).SelectMany(one => one.Choice.Reasons).Where(reason => reason.StartsWith("step", StringComparison.Ordinal)));
        var usable = choices.Where(one => one.Choice.Step is not null).Select(one => one.Step).ToList();
        if (usable.Count > 0) return usable;
        if (steps.Count > 0) lines.Add($"what is left in memory cannot be restored ({held.Count} of {managers} managers answer)");
        else if (found is null && held.Values.SelectMany(ranks => ranks).SelectMany(rank => rank.Slots).Any(slot => slot is { Kind: SlotKind.Data, State: >= SlotState.Prepared } && isWorth(slot.Step)))
            lines.Add("what is in memory was taken under another shape, or with the ranks on other nodes: it is not used");
        return usable;
    }

    /// <summary>One step: all ranks have it afterwards, or none has changed.</summary>
    private Dictionary<RestoreSource, int>? Try(long step, FoundSnapshot? found, Action<nint> take)
    {
        var places = mine?.Places ?? [];
        var buffer = (byte*)NativeMemory.Alloc((nuint)Math.Max(1, places.Count * (mine?.Sizes.Room ?? 0)));
        try
        {
            var (lines, tally) = (new List<string>(), new long[1 + Memory.Length]);
            for (var i = 0; i < places.Count; i++)
            {
                var sharers = mine!.Sizes.SharersOf(places[i]);
                for (var number = 0; number < sharers.Count; number++)
                {
                    var slice = PartBytes.SliceOf(mine.Slices, sharers[number]);
                    var source = Read(mine, slice, step, found, buffer + i * mine.Sizes.Room + number * mine.Sizes.Share, lines);
                    if (source == RestoreSource.Disk) tally[0]++;
                    // Shares that several ranks read are counted once.
                    else if (sharers[number] == places[i]) tally[1 + Array.IndexOf(Memory, source)]++;
                }
            }
            world.AllReduce<long>(tally);
            TellAll(lines);
            if (tally[0] > 0) return null;
            take(places.Count == 0 ? 0 : (nint)buffer);
            return Enumerable.Range(0, Memory.Length).Where(i => tally[1 + i] > 0).ToDictionary(i => Memory[i], i => (int)tally[1 + i]);
        }
        finally
        {
            NativeMemory.Free(buffer);
        }
    }

    private void TellAll(List<string> lines)
    {
        var told = GateExchange.Gather(world, Encoding.UTF8.GetBytes('\n' + string.Join('\n', lines)));
        foreach (var line in told.SelectMany(text => Encoding.UTF8.GetString(text).Split('\n', StringSplitOptions.RemoveEmptyEntries)).Distinct()) alarm(line);
    }

    private RestoreSource Read(PartReader reader, SnapshotSlice slice, long step, FoundSnapshot? found, byte* destination, List<string> lines)
    {
        if (found is null)
        {
            lines.Add($"slice {slice.Number}: no manager that answers rank {world.Rank} has it");
            return RestoreSource.Disk;
        }
        var identity = found.Slices[slice.Number];
        var report = new SnapshotRestore(identity, found.GroupOf(identity), found.Managers, Timeout) { Proof = found.ProofOf(identity, step), OnlyProven = true }.Run(step, null, (nint)destination);
        if (report.Source != RestoreSource.OwnMemory) lines.AddRange(report.Lines.Select(line => $"slice {slice.Number} of {reader.Slices.All.Count}: {line}"));
        return report.Source;
    }
}
