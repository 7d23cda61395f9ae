using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Perennial.Resilience.Snapshots;

/// <summary>A state that was brought back from memory.</summary>
/// <param name="Step">Its step.</param>
/// <param name="Sources">How many slices came from where.</param>
/// <param name="Elapsed">Time taken.</param>
/// <param name="Lines">The decisions in words.</param>
public sealed record SlicedReport(long Step, IReadOnlyDictionary<RestoreSource, int> Sources, TimeSpan Elapsed, IReadOnlyList<string> Lines)
{
    /// <inheritdoc/>
    public override string ToString() => string.Join(", ", Sources.OrderBy(pair => pair.Key).Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Value} {(pair.Value == 1 ? "slice" : "slices")} from {RestoreChoice.Name(pair.Key)}")));
}

/// <summary>
/// Brings a sliced state back from what the managers of a run hold (paper 02 §5): the newest step of which every slice can be had, each from
/// the memory that keeps it or from its group's parity. A step that turns out to be damaged beyond repair leads to the one before.
/// </summary>
/// <param name="runId">The run.</param>
/// <param name="managers">All managers that the run may have.</param>
/// <param name="timeout">How long a manager may take to answer.</param>
public sealed unsafe class SlicedRestore(Guid runId, IReadOnlyCollection<SnapshotEndpoint> managers, TimeSpan timeout)
{
    // A process that has given its snapshots up closes its connections; its manager hears so within this.
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20), Farewell = TimeSpan.FromMilliseconds(200);
    private readonly List<string> lines = [];

    /// <summary>Memory of slices that is mapped in this process and stays as it is meanwhile; null for the others, which are asked of their managers.</summary>
    internal Func<int, SharedSlot?> Own { get; init; } = _ => null;

    /// <summary>Whether all that live have given their snapshots up. Who seems to write hangs, and holds its slice open: what is not all there will not be.</summary>
    public bool IsOver { get; init; }

    /// <summary>What was decided and why, so far.</summary>
    public IReadOnlyList<string> Lines => lines;

    /// <summary>
    /// What the managers hold. Waits, for as long as <paramref name="patience"/>, for those that do not answer yet and for snapshots that may
    /// still be finished.
    /// </summary>
    public IReadOnlyDictionary<SnapshotEndpoint, IReadOnlyList<RankInventory>> Gather(TimeSpan patience, CancellationToken cancellation = default)
    {
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            var held = new Dictionary<SnapshotEndpoint, IReadOnlyList<RankInventory>>();
            foreach (var manager in managers)
            {
                try
                {
                    using var client = SnapshotClient.Connect(manager, runId, timeout);
                    held[manager] = client.Inventory();
                }
                catch (Exception error) when (error is IOException or SnapshotRefusedException)
                {
                    // Dead, or not up yet.
                }
            }
            var all = held.Values.SelectMany(ranks => ranks).ToList();
            var waited = Stopwatch.GetElapsedTime(start);
            if (IsOver && waited > Farewell) all = [.. all.Select(rank => rank with { TrainerAlive = false })];
            var busy = all.Any(rank => rank.Slots.Any(slot => slot is { Kind: SlotKind.Data, State: SlotState.Writing } && (slot.Landed ? CanFinish(all, rank, slot.Step) : rank.TrainerAlive)));
            if ((held.Count == managers.Count && !busy) || waited > patience) return held;
            cancellation.ThrowIfCancellationRequested();
            cancellation.WaitHandle.WaitOne(Pause);
        }
    }

    /// <summary>Restores the newest step that can be restored and is newer than <paramref name="newerThan"/>.</summary>
    /// <param name="found">From <see cref="FoundSnapshot.Among"/>.</param>
    /// <param name="newerThan">The step that is there anyway.</param>
    /// <param name="stateBytes">Bytes of the state.</param>
    /// <param name="load">Takes the state's bytes (valid during the call).</param>
    /// <returns>What was restored, and of which snapshot; null where nothing could be.</returns>
    public (SlicedReport Report, FoundSnapshot Snapshot)? Run(IReadOnlyList<FoundSnapshot> found, long newerThan, long stateBytes, Action<nint> load)
    {
        ArgumentNullException.ThrowIfNull(found);
        ArgumentNullException.ThrowIfNull(load);
        foreach (var (snapshot, step) in found.SelectMany(snapshot => snapshot.Steps.Select(step => (snapshot, step))).Where(one => one.step > newerThan)
            .OrderByDescending(one => one.step).ThenByDescending(one => one.snapshot.Inventories.Max(inventory => inventory.Epoch)))
        {
            var choice = snapshot.At(step);
            if (choice.Step is null)
            {
                lines.AddRange(choice.Reasons.Where(reason => reason.StartsWith("step", StringComparison.Ordinal)));
                continue;
            }
            if (Read(snapshot, step, load) is { } report) return (report, snapshot);
        }
        return null;
    }

    /// <summary>Whether the parity that a slice waits for may still come: the others of its group have the step too, or a trainer that may bring it.</summary>
    private static bool CanFinish(IReadOnlyList<RankInventory> all, RankInventory rank, long step) => Enumerable.Range(rank.Rank - rank.Identity.GroupIndex, rank.Identity.GroupSize).All(member =>
        all.Any(other => other.Rank == member && (other.TrainerAlive || other.Slots.Any(slot => slot is { Kind: SlotKind.Data, Landed: true } && slot.Step == step))));

    private SlicedReport? Read(FoundSnapshot snapshot, long step, Action<nint> load)
    {
        var buffer = (byte*)NativeMemory.Alloc((nuint)(snapshot.SliceBytes * snapshot.Slices.Count));
        try
        {
            var report = Copy(snapshot, step, (nint)buffer);
            if (report is not null) load((nint)buffer);
            return report;
        }
        finally
        {
            NativeMemory.Free(buffer);
        }
    }

    /// <summary>Copies one step's slices; null, with the reason among <see cref="Lines"/>, where one cannot be had.</summary>
    /// <param name="snapshot">From <see cref="FoundSnapshot.Among"/>.</param>
    /// <param name="step">The step.</param>
    /// <param name="destination">Room for all slices.</param>
    internal SlicedReport? Copy(FoundSnapshot snapshot, long step, nint destination)
    {
        var (clock, sources) = (Stopwatch.GetTimestamp(), new Dictionary<RestoreSource, int>());
        for (var number = 0; number < snapshot.Slices.Count; number++)
        {
            var slice = snapshot.Slices[number];
            var proof = snapshot.ProofOf(slice, step);
            var report = new SnapshotRestore(slice, snapshot.GroupOf(slice), snapshot.Managers, timeout) { Proof = proof, OnlyProven = true }.Restore(step, Own(slice.Rank), destination + (nint)(number * snapshot.SliceBytes));
            if (report.Source != RestoreSource.OwnMemory) lines.AddRange(report.Lines.Select(line => $"slice {number} of {snapshot.Slices.Count}: {line}"));
            if (report.Source == RestoreSource.Disk) return null;
            sources[report.Source] = sources.GetValueOrDefault(report.Source) + 1;
        }
        return new(step, sources, Stopwatch.GetElapsedTime(clock), [.. lines]);
    }
}
