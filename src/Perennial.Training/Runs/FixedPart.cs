using Perennial.Core;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Partition;
using Perennial.Resilience.Plans;
using Perennial.Resilience.Universal;
using Perennial.Training.Checkpoints;
using Perennial.Training.Loop;
using Perennial.Training.Memory;
using Perennial.Training.Parallel;
using Perennial.Training.Practices;
using Perennial.Training.State;

namespace Perennial.Training.Runs;

/// <summary>What a part of a run asks of the run.</summary>
/// <param name="Folder">The run's folder.</param>
/// <param name="Options">The run's options.</param>
/// <param name="World">The processes.</param>
/// <param name="Tell">Takes events; the leader's are told.</param>
/// <param name="SnapshotDue">Whether a snapshot belongs after a step.</param>
/// <param name="Cancellation">Ends the run at a step's end.</param>
internal sealed record FixedRun(RunFolder Folder, TrainingRunOptions Options, FixedWorld World, Action<RunEvent> Tell, Func<long, bool> SnapshotDue, CancellationToken Cancellation);

/// <summary>All that a process has for one place of one shape: model, optimizer, loop, writer, snapshots. Another shape makes another part.</summary>
internal sealed class FixedPart : IDisposable
{
    private readonly GradientPass pass;
    private bool isReplaced;

    /// <param name="parts">The run in this place; this object frees model and optimizer.</param>
    /// <param name="run">The run.</param>
    public FixedPart(RunParts parts, FixedRun run)
    {
        Parts = parts;
        State = new ShardedState(Decoder, parts.Optimizer.Slots, [.. parts.State.Slots.Skip(parts.Optimizer.Slots.Count)]);
        Memory = run.Options.Memory is { } kept ? new FixedMemory(kept, Decoder, parts.State) : null;
        Replicas = new FixedReplicas(Decoder, () => run.World.Epoch, () => run.World.HasNews, () => Memory is { Snapshots.IsReady: true } && (!IsLeader || run.SnapshotDue(Progress.Step + 1)));
        HeldOut = new FixedHeldOut(parts, Decoder, run.Tell);
        IPasses passes = Decoder.Placement.Shape.Pipeline > 1 ? new PipelinePasses(parts.Objective, Decoder.Model, () => Decoder.Groups.Pipeline, Decoder.Clock) : new PlainPasses(() => parts.Objective, Decoder.Model, clock: Decoder.Clock);
        pass = new GradientPass(parts, Replicas, new TimedPasses(passes, Decoder.Clock, Decoder.Placement.Cut.Counts[Decoder.Place.Pipeline]));
        Loop = new TrainingLoop(parts, Replicas, pass, new PracticeServices(parts, HeldOut.Evaluate, pass, run.Tell), run.Tell, () => Memory?.Snapshots.WaitDecided(), () => { }, run.Cancellation);
        Writer = new ShardedCheckpointWriter(parts, State, run.Folder.Checkpoints);
        Loop.RememberPractices();
    }

    /// <summary>The run in this place.</summary>
    public RunParts Parts { get; }

    /// <summary>The part of the model.</summary>
    public ParallelDecoder Decoder => Parts.Parallel!;

    /// <summary>The state as buffers.</summary>
    public ShardedState State { get; }

    /// <summary>The other processes as the loop sees them.</summary>
    public FixedReplicas Replicas { get; }

    /// <summary>Scoring.</summary>
    public FixedHeldOut HeldOut { get; }

    /// <summary>The loop.</summary>
    public TrainingLoop Loop { get; }

    /// <summary>Checkpoints.</summary>
    public ShardedCheckpointWriter Writer { get; }

    /// <summary>Snapshots; null where none are kept.</summary>
    public FixedMemory? Memory { get; }

    /// <summary>
    /// The memberships in which this part was made one state with the others': none before the first, and two from when it has its state until
    /// everybody is known to have theirs.
    /// </summary>
    public IReadOnlyList<long> Lineages { get; set; } = [];

    /// <summary>Whether there ever was a state here.</summary>
    public bool HasState { get; set; }

    /// <summary>Whether this process writes the run folder.</summary>
    public bool IsLeader => Decoder.Rank == 0;

    /// <summary>The progress.</summary>
    public Progress Progress => Parts.State.Progress;

    /// <summary>The processes with a place.</summary>
    public ICommunicator World => Decoder.Groups.World;

    /// <summary>The shape.</summary>
    public ShapeCut Cut => new(Decoder.Placement.Shape, Decoder.Placement.Cut);

    /// <summary>What is told of it when processes meet.</summary>
    public IEnumerable<HeldPart> Held => Lineages.Select(lineage => new HeldPart(lineage, Cut.Shape, [.. Cut.Cut.Ends], Decoder.Rank, Progress.Step, HasState && !Replicas.IsTorn));

    /// <summary>Whether it is what a place of a shape needs.</summary>
    public bool Fits(FixedPlan plan, int place) => Decoder.Rank == place && plan.Shape == Cut.Shape && plan.Ends.SequenceEqual(Cut.Cut.Ends);

    /// <summary>What all ranks have; copies of one tensor that differ, and ranks of different steps, are told here.</summary>
    /// <exception cref="PerennialException">Exit 3: they do.</exception>
    public StateSummary Summary() => StateSummary.Of(State.Layout, GateExchange.Gather(World, RankEvidence.Gather(State.Layout, Decoder.Rank, State.Buffers(), Record)));

    /// <summary>The state is about to be replaced: until everyone has all of it, it is of no step.</summary>
    public IReadOnlyDictionary<string, FlatBytes> Replace()
    {
        Replicas.IsTorn = isReplaced = true;
        var buffers = State.Buffers();
        foreach (var buffer in buffers.Values) buffer.Clear();
        return buffers;
    }

    /// <summary>The state is whole, and one with the others' of a membership; it is still of the earlier ones where it is the same that it was.</summary>
    public void Completed(long lineage)
    {
        Lineages = isReplaced ? [lineage] : [.. Lineages, lineage];
        isReplaced = false;
    }

    /// <summary>Leaves the other processes; what was under way with them is given up.</summary>
    public void Leave()
    {
        Memory?.Snapshots.Leave();
        Writer.Abandon();
        Decoder.Leave();
    }

    /// <summary>The counters that a checkpoint carries.</summary>
    public ProgressRecord Record => ShardedCheckpoint.Record(Progress, Parts.Recipe.Seed, Parts.StreamFingerprint);

    /// <inheritdoc/>
    public void Dispose()
    {
        Memory?.Dispose();
        Writer.Dispose();
        // What still waits for another process ends with the group.
        Decoder.Leave();
        Loop.Release();
        HeldOut.Dispose();
        Parts.Release();
    }
}
