using System.Diagnostics;
using System.Globalization;
using Perennial.Resilience.Survival;
using Perennial.Training.Recipes;

namespace Perennial.Training.Runs;

/// <summary>What one saving of each kind was measured to cost.</summary>
/// <param name="StepSeconds">A step.</param>
/// <param name="SnapshotStall">What a step waits for a snapshot in memory.</param>
/// <param name="CheckpointStall">What training waits for a checkpoint on disk.</param>
internal readonly record struct SavingCosts(double StepSeconds, double SnapshotStall, double CheckpointStall);

/// <summary>
/// After which steps the state is saved, in memory and on disk: as the recipe says, or, where it says <c>auto</c>, from what was measured over the
/// first steps and the failures that the recipe states (<see cref="IntervalAdvisor"/>). Where a run is saved changes nothing of what it learns.
/// </summary>
/// <param name="options">The recipe's.</param>
/// <param name="totalSteps">Steps of the run.</param>
/// <param name="tokensPerStep">Tokens of a step.</param>
internal sealed class SavingSchedule(ResilienceOptions options, long totalSteps, long tokensPerStep)
{
    /// <summary>Steps that are measured before anything is worked out; the first is slower than the others.</summary>
    private const int Warmup = 2, Measured = 8;

    private readonly List<double> steps = [];
    private long snapshotEvery = options.Snapshot.Length?.ToSteps(totalSteps, tokensPerStep) ?? 1, checkpointEvery = options.Checkpoint.Length?.ToSteps(totalSteps, tokensPerStep) ?? 0;
    private bool isDecided = options is { Snapshot.IsAuto: false, Checkpoint.IsAuto: false };

    /// <summary>Whether enough was measured to work the intervals out now: a checkpoint is due, whose cost is the last that is unknown.</summary>
    public bool IsDeciding => !isDecided && steps.Count >= Warmup + Measured;

    /// <summary>Whether a snapshot belongs after this step.</summary>
    public bool SnapshotDue(long step) => step % Math.Max(1, snapshotEvery) == 0;

    /// <summary>Whether a checkpoint belongs after this step.</summary>
    public bool CheckpointDue(long step) => checkpointEvery > 0 && step % checkpointEvery == 0;

    /// <summary>Takes note of a step.</summary>
    /// <param name="seconds">How long it took.</param>
    public void Note(double seconds)
    {
        if (!isDecided) steps.Add(seconds);
    }

    /// <summary>Works the intervals out.</summary>
    /// <param name="nodes">Nodes of the run.</param>
    /// <param name="snapshots">Whether snapshots are kept in memory, and how the nodes protect them: group size and losses; null for none.</param>
    /// <param name="stateBytes">Bytes of the state.</param>
    /// <param name="snapshotStall">Seconds that a step waits for a snapshot.</param>
    /// <param name="checkpointStall">Seconds that training waited for a checkpoint.</param>
    /// <returns>The reasoning, for people.</returns>
    public IReadOnlyList<string> Decide(int nodes, (int Size, int Losses)? snapshots, long stateBytes, double snapshotStall, double checkpointStall)
    {
        var step = steps.Skip(Warmup).Order().ElementAt(Measured / 2);
        var costs = new SavingCosts(step, snapshotStall, checkpointStall);
        var (lines, every, disk) = snapshots is { } kept ? WithMemory(nodes, kept, stateBytes, costs) : OnDiskAlone(nodes, costs);
        if (options.Snapshot.IsAuto) snapshotEvery = every;
        if (options.Checkpoint.IsAuto) checkpointEvery = disk;
        isDecided = true;
        return lines;
    }

    /// <summary>Takes over what another process worked out; what it holds now, for others, is <see cref="Decided"/>.</summary>
    public void Take((long Snapshot, long Checkpoint) decided) => ((snapshotEvery, checkpointEvery), isDecided) = (decided, true);

    /// <summary>Steps between snapshots and between checkpoints.</summary>
    public (long Snapshot, long Checkpoint) Decided => (snapshotEvery, checkpointEvery);

    private (IReadOnlyList<string> Lines, long Snapshot, long Checkpoint) WithMemory(int nodes, (int Size, int Losses) kept, long stateBytes, SavingCosts costs)
    {
        const double hours = 24, second = 3600;
        var advice = IntervalAdvisor.Advise(new AdvisorInput
        {
            Nodes = nodes, NodeFailuresPerHour = options.NodeFailures / hours, SoftwareFaultsPerHour = options.WorkerFailures / hours, StepSeconds = costs.StepSeconds,
            SnapshotStallSeconds = costs.SnapshotStall, SnapshotSeconds = costs.StepSeconds, CheckpointStallSeconds = costs.CheckpointStall, StateBytes = stateBytes / nodes, MemoryBytes = long.MaxValue,
            RunHours = totalSteps * costs.StepSeconds / second,
            // How nodes protect each other was settled before they started.
            Protection = kept,
        });
        var lines = advice.Lines.Where(line => (options.Snapshot.IsAuto || !line.StartsWith("snapshots:", StringComparison.Ordinal)) && (options.Checkpoint.IsAuto || !line.StartsWith("disk:", StringComparison.Ordinal))).Select(line => "auto: " + line);
        return ([.. lines], advice.SnapshotEverySteps, Math.Max(1, (long)(advice.CheckpointSeconds / costs.StepSeconds)));
    }

    private (IReadOnlyList<string> Lines, long Snapshot, long Checkpoint) OnDiskAlone(int nodes, SavingCosts costs)
    {
        const double day = 86400;
        var faults = nodes * (options.NodeFailures + options.WorkerFailures);
        var between = faults > 0 ? day / faults : double.PositiveInfinity;
        var interval = Intervals.Optimal(costs.CheckpointStall, between);
        var every = (long)Math.Clamp(interval / costs.StepSeconds, 1, totalSteps);
        return ([string.Create(CultureInfo.InvariantCulture, $"auto: a checkpoint stalls {costs.CheckpointStall:0.###} s and a fault comes every {between / 3600:0.#} h, so √(2·{costs.CheckpointStall:0.###} s·{between / 3600:0.#} h) = {interval:0} s: a checkpoint every {every} steps of {costs.StepSeconds:0.###} s")], 1, every);
    }
}
