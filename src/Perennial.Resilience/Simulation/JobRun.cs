using Perennial.Resilience.Partition;

namespace Perennial.Resilience.Simulation;

/// <summary>What one recovery took.</summary>
/// <param name="Seconds">From the fault until the job is where it was: phases, waiting, and the lost part done again.</param>
/// <param name="LostSeconds">The part of it that is work done again.</param>
/// <param name="FromDisk">State had to come from the checkpoint.</param>
/// <param name="Faults">Faults that it dealt with; later ones struck while it was under way.</param>
public sealed record RecoveryIncident(double Seconds, double LostSeconds, bool FromDisk, int Faults);

/// <summary>What one simulated run came to.</summary>
/// <param name="Steps">Steps that count.</param>
/// <param name="Shares">Where the time went.</param>
/// <param name="Faults">Faults, those that interrupted nothing included.</param>
/// <param name="Incidents">Recoveries that ended within the run.</param>
public sealed record JobOutcome(long Steps, TimeShares Shares, int Faults, IReadOnlyList<RecoveryIncident> Incidents);

/// <summary>What a run is made of.</summary>
internal sealed record JobSetup(SimulationOptions Options, PipelineShape Shape, IRecoveryPolicy Policy, int Spares, long CheckpointEvery, double MeanSecondsBetweenFaults)
{
    /// <summary>Seconds into the next step until a checkpoint is on disk, where it is written beside the training.</summary>
    public double CheckpointSeconds { get; init; }
}

/// <summary>One job on one cluster under one policy, from event to event: faults, recoveries, arrivals, joins.</summary>
internal sealed class JobRun
{
    private enum Mode { Running, Recovering, Waiting }

    private readonly JobSetup setup;
    private readonly IFaultSource faults;
    private readonly RandomStream random;
    private readonly NodePool pool;
    private readonly StepClock clock;
    private readonly Dictionary<int, int> unprotected = [];
    private readonly List<RecoveryIncident> incidents = [];
    private readonly double wholeStep;
    private Mode mode = Mode.Running;
    private DegradedStep step;
    private double now, since, until = double.PositiveInfinity, joinAt = double.PositiveInfinity, protectedAt;
    private int faultCount;

    // The recovery under way: null between recoveries and while a planned join goes on.
    private (double Start, double Reached, double Pace, bool FromDisk, int Faults)? incident;

    public JobRun(JobSetup setup, IFaultSource faults, RandomStream random)
    {
        (this.setup, this.faults, this.random) = (setup, faults, random);
        var protection = setup.Options.Protection;
        pool = new(setup.Options.Cluster, setup.Shape, setup.Spares, random);
        wholeStep = setup.Shape.WholeStepSeconds;
        clock = new(wholeStep, setup.Policy.Source == StateSource.Snapshot ? protection.SnapshotEverySteps : 0, protection.SnapshotStallSeconds, setup.CheckpointEvery, protection.CheckpointStallSeconds);
        step = (pool.HasSlow ? setup.Policy.Step(setup.Shape, pool.Now) : null) ?? new(wholeStep, "whole", setup.Shape.Partition, new([]));
    }

    /// <summary>Runs for so many seconds of the wall clock.</summary>
    public JobOutcome Run(double seconds)
    {
        while (true)
        {
            var next = Math.Min(Math.Min(until, joinAt), Math.Min(faults.Next, pool.NextArrival));
            if (next >= seconds) break;
            if (next == until) EndRecovery();
            else if (next == joinAt) BeginJoin();
            else if (next == faults.Next) Strike(faults.Take());
            else
            {
                pool.Arrive();
                Arrived(next);
            }
        }
        if (mode == Mode.Running) Settle(seconds);
        else clock.Idle(seconds - since);
        return new(clock.Steps, clock.Shares, faultCount, incidents);
    }

    // Accounts for the time since the last change of mode. Returns the fraction of a step that was under way.
    private double Settle(double time)
    {
        var partial = 0.0;
        if (mode == Mode.Running)
        {
            (var steps, partial) = clock.Within(time - since, step.Seconds);
            clock.Run(steps, partial, step.Seconds);
        }
        else clock.Idle(time - since);
        (now, since) = (time, time);
        return Math.Min(1, partial / step.Seconds);
    }

    private void Strike(Fault fault)
    {
        faultCount++;
        var working = fault.Ranks.Where(rank => setup.Policy.UsesDamagedPaths || !pool.IsDamaged(rank)).ToList();
        if (fault.Seconds >= protectedAt && mode == Mode.Running) unprotected.Clear();
        foreach (var rank in fault.Ranks)
        {
            pool.Lose(rank, fault.Seconds, fault.Software);
            var group = rank % setup.Shape.Stages * setup.Shape.Paths + rank / setup.Shape.Stages / setup.Options.Protection.ParityGroup;
            if (!fault.Software) unprotected[group] = unprotected.GetValueOrDefault(group) + 1;
        }
        if (working.Count == 0) return;
        // Between steps everybody waits for everybody.
        var (within, into) = (0.0, double.PositiveInfinity);
        if (mode == Mode.Running)
        {
            var fraction = Settle(fault.Seconds);
            within = fault.IntoStep is { } measured ? Math.Min(1, measured / step.Seconds) : fraction;
            into = within * step.Seconds;
        }
        else Settle(fault.Seconds);
        var fromDisk = !MemoryHolds();
        incident = incident is { } open
            ? open with { FromDisk = open.FromDisk || fromDisk, Faults = open.Faults + 1 }
            : (fault.Seconds, clock.Steps + within, step.Seconds, fromDisk, 1);
        var reached = fault.Step ?? clock.Steps;
        clock.RollBack(fromDisk ? clock.SinceCheckpoint(reached, isWriting: into < setup.CheckpointSeconds) : setup.Policy.Source == StateSource.Snapshot ? clock.SinceSnapshot(reached) : 0);
        BeginRecovery(planned: false, fault.Leader ?? fault.Ranks.Contains(0), into);
    }

    private bool MemoryHolds() => setup.Policy.Source switch
    {
        StateSource.Replica => pool.EveryStageLives,
        StateSource.Snapshot => unprotected.Values.All(losses => losses <= setup.Options.Protection.ParityLosses),
        _ => false,
    };

    private void BeginRecovery(bool planned, bool leader = false, double into = double.PositiveInfinity)
    {
        (mode, joinAt) = (Mode.Recovering, double.PositiveInfinity);
        var (ranks, times) = (setup.Shape.Ranks, setup.Policy.Times);
        var (notice, rest) = (planned ? 0 : Drawn(times.Mean(RecoveryPhase.Detect, ranks)) + Math.Max(0, times.Quiet - into) + Drawn(times.Mean(RecoveryPhase.Agree, ranks)), 0.0);
        RecoveryPhase[] others = [RecoveryPhase.Group, RecoveryPhase.Plan, RecoveryPhase.Move, RecoveryPhase.Replay];
        foreach (var mean in planned ? times.Planned(ranks) : others.Select(phase => times.Mean(phase, ranks))) rest += Drawn(mean);
        if (leader && times.Lead > 0) rest += Drawn(times.Lead);
        rest += TransferSeconds();
        var begin = now + notice;
        if (setup.Policy.WaitsForSpares)
        {
            // Called nodes are waited for; a fault meanwhile begins anew, since it comes first in the event loop.
            var latest = begin + setup.Options.Cluster.SpareStartSeconds;
            while (pool.HasComing && pool.NextArrival <= latest && pool.NextArrival < faults.Next)
            {
                begin = Math.Max(begin, pool.NextArrival);
                pool.Arrive();
            }
        }
        until = begin + rest;

        double Drawn(double mean) => mean * random.LogNormal(times.Spread);
    }

    // What depends on bytes: the checkpoint through the storage, or a rank's shard from its group and moved layers' weights over the network.
    private double TransferSeconds()
    {
        var (bytes, cluster) = ((double)setup.Options.Job.StateBytes, setup.Options.Cluster);
        if (incident?.FromDisk == true || setup.Policy.Source == StateSource.Checkpoint) return bytes / cluster.StorageBytesPerSecond;
        if (setup.Policy.Source == StateSource.Replica) return 0;
        var next = setup.Policy.Step(setup.Shape, pool.WithReady());
        var moves = next is null ? new([]) : MigrationPlan.Between(step.Partition, next.Partition, setup.Shape.Layers);
        var live = pool.WithReady().Stages.Select(stage => Math.Max(1, stage.Count)).ToList();
        return bytes / setup.Shape.Ranks / cluster.NetworkBytesPerSecond + moves.ExposedSeconds(live, cluster.NetworkBytesPerSecond, blocking: false);
    }

    private void EndRecovery()
    {
        Settle(until);
        until = double.PositiveInfinity;
        foreach (var rank in pool.Join()) faults.Started(rank, now);
        if (setup.Policy.Step(setup.Shape, pool.Now) is not { } next)
        {
            mode = Mode.Waiting;
            return;
        }
        (step, mode) = (next, Mode.Running);
        protectedAt = now + setup.Options.Protection.SnapshotEverySteps * step.Seconds;
        if (incident is { } done)
        {
            var again = Math.Max(0, done.Reached - clock.Steps) * done.Pace;
            incidents.Add(new(now - done.Start + again, again, done.FromDisk, done.Faults));
            incident = null;
        }
    }

    private void Arrived(double time)
    {
        if (!pool.HasReady) return;
        if (mode == Mode.Waiting)
        {
            if (setup.Policy.Step(setup.Shape, pool.WithReady()) is null) return;
            Settle(time);
            BeginRecovery(planned: true);
        }
        else if (mode == Mode.Running && setup.Policy.Step(setup.Shape, pool.WithReady()) is { } better)
        {
            // A join that gains less until the next fault than it costs is left to that fault's recovery, which takes it in for nothing.
            var pause = setup.Policy.Times.Sum(setup.Shape.Ranks, planned: true) + (setup.Policy.Source == StateSource.Checkpoint ? (double)setup.Options.Job.StateBytes / setup.Options.Cluster.StorageBytesPerSecond : 0);
            if (!MigrationPlan.Pays(step.Seconds, better.Seconds, setup.MeanSecondsBetweenFaults / better.Seconds, pause)) return;
            var (done, _) = clock.Within(time - since, step.Seconds);
            joinAt = since + clock.SecondsOf(clock.UntilBoundary(done, atCheckpoint: !setup.Policy.JoinsRunning), step.Seconds);
        }
    }

    private void BeginJoin()
    {
        Settle(joinAt);
        BeginRecovery(planned: true);
    }
}
