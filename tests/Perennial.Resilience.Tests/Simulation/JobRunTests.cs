using Perennial.Core;
using Perennial.Resilience.Simulation;

namespace Perennial.Resilience.Tests.Simulation;

public sealed class JobRunTests
{
    private static JobOutcome Play(SimulationOptions options, double seconds, params IReadOnlyList<Fault> faults)
    {
        var setup = Simulator.Setup(options, options.Policies[0].Create(), options.Accelerators[0].Value);
        return new JobRun(setup, new RecordedFaults(faults), new(1, 1)).Run(seconds);
    }

    private static SimulationOptions Options(ComponentSpec<IRecoveryPolicy> policy) => Studies.Plain(policy) with
    {
        Protection = new() { SnapshotStallSeconds = 0, CheckpointStallSeconds = 0, CheckpointMinutes = 100 / 60.0, ParityGroup = 4, ParityLosses = 1 },
        Cluster = new() { PerNode = 1, RespawnSeconds = 0, Spares = 0, RepairHours = 1e6 },
    };

    [Fact]
    public void A_snapshot_loses_the_step_under_way_and_a_restart_what_the_checkpoint_lacks()
    {
        // Steps of 10 s, a checkpoint every 10 of them, a process dies at 157 s and its recovery takes 13 s.
        var fault = new Fault(157, [5], Software: true);
        var elastic = Play(Options(Studies.Elastic(Studies.Instant with { Group = 13 })), 1_000, fault);
        Assert.Equal((15 + 83, 1), (elastic.Steps, elastic.Faults));
        Assert.Equal(new RecoveryIncident(13 + 7, 7, FromDisk: false, Faults: 1), Rounded(Assert.Single(elastic.Incidents)));
        Assert.Equal(7, elastic.Shares.Lost, 6);
        Assert.Equal(13, elastic.Shares.Down, 6);
        var restart = Play(Options(Studies.Restart(Studies.Instant with { Group = 13 })), 1_000, fault);
        Assert.Equal(10 + 83, restart.Steps);
        Assert.Equal(new RecoveryIncident(13 + 57, 57, FromDisk: true, Faults: 1), Rounded(Assert.Single(restart.Incidents)));
        Assert.Equal(57, restart.Shares.Lost, 6);
        // Where it was measured which step was done, that counts: two after the checkpoint of step 10.
        var measured = Play(Options(Studies.Restart(Studies.Instant with { Group = 13 })), 1_000, fault with { Step = 12 });
        Assert.Equal(new RecoveryIncident(13 + 27, 27, FromDisk: true, Faults: 1), Rounded(Assert.Single(measured.Incidents)));
    }

    [Fact]
    public void A_checkpoint_that_is_still_being_written_cannot_be_gone_back_to()
    {
        var options = Options(Studies.Restart(Studies.Instant with { Group = 13 }));
        var setup = Simulator.Setup(options, options.Policies[0].Create(), options.Accelerators[0].Value) with { CheckpointSeconds = 3 };
        // Step 10 was done at 100 s and is on the disk at 103 s.
        double[] lost = [.. new[] { 102.0, 104.0 }.Select(at => Assert.Single(new JobRun(setup, new RecordedFaults([new Fault(at, [5], true)]), new(1, 1)).Run(1_000).Incidents).LostSeconds)];
        Assert.Equal([102, 4], lost.Select(seconds => Math.Round(seconds, 6)));
    }

    [Fact]
    public void A_fault_during_a_recovery_belongs_to_it()
    {
        var outcome = Play(Options(Studies.Elastic(Studies.Instant with { Group = 20 })), 1_000, new Fault(157, [5], true), new Fault(170, [9], true));
        Assert.Equal(new RecoveryIncident(13 + 20 + 7, 7, false, 2), Rounded(Assert.Single(outcome.Incidents)));
        Assert.Equal(2, outcome.Faults);
    }

    [Fact]
    public void The_loss_of_the_leader_takes_longer()
    {
        var options = Options(Studies.Elastic(Studies.Instant with { Group = 13, Lead = 4 }));
        Assert.Equal([13 + 7, 13 + 4 + 7], new[] { 5, 0 }.Select(rank => Math.Round(Assert.Single(Play(options, 1_000, new Fault(157, [rank], true)).Incidents).Seconds, 6)));
        // Where it was measured who led, that counts.
        Assert.Equal([13 + 4 + 7, 13 + 7], new[] { 5, 0 }.Select(rank => Math.Round(Assert.Single(Play(options, 1_000, new Fault(157, [rank], true, Leader: rank == 5)).Incidents).Seconds, 6)));
    }

    [Fact]
    public void Calibration_tells_the_leader_from_the_others()
    {
        static MeasuredEvent Loss(double detect, bool leader) => new() { At = 1, Ranks = [1], Detect = detect, Group = 0.5, Again = 9, Leader = leader };
        var times = Times(Run(Loss(0.1, false), Loss(0.7, true), Loss(0.3, false), Loss(0.5, true)));
        Assert.Equal((0.2, 0.5, 0.4), (Math.Round(times.Detect, 6), times.Group, Math.Round(times.Lead, 6)));
        var single = Times(Run(Loss(0.6, true)));
        Assert.Equal((0.6, 0.0), (single.Detect, single.Lead));
    }

    private static RecoveryTimes Times(params IReadOnlyList<MeasuredRun> runs) => RecoveryCalibration.Times(new(), runs, runs);

    private static MeasuredRun Run(params MeasuredEvent[] events) => new() { Name = "a", Policy = "elastic", Paths = 4, Seconds = 100, Steps = 100, StepSeconds = 1, Events = events };

    [Fact]
    public void A_fault_in_the_quiet_part_of_a_step_is_noticed_at_its_end()
    {
        // Steps of 10 s: this one is 7 s into its step when it strikes, unless it was measured otherwise.
        var options = Options(Studies.Elastic(Studies.Instant with { Detect = 1, Quiet = 9 }));
        Assert.Equal(1 + 2 + 7, Math.Round(Assert.Single(Play(options, 1_000, new Fault(157, [5], true)).Incidents).Seconds, 6));
        Assert.Equal(1 + 5 + 4, Math.Round(Assert.Single(Play(options, 1_000, new Fault(157, [5], true, IntoStep: 4)).Incidents).Seconds, 6));
        // It is also found in measurements, and not where there is none.
        static MeasuredEvent Loss(double into, double detect) => new() { At = 1, Ranks = [1], Detect = detect, Again = into, Partial = into };
        double[] places = [0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0];
        var times = Times(Run([.. places.Select(into => Loss(into, 0.1 + Math.Max(0, 0.4 - into)))]));
        Assert.Equal((0.1, 0.4), (Math.Round(times.Detect, 6), Math.Round(times.Quiet, 6)));
        Assert.Equal(0, Times(Run([.. places.Select((into, i) => Loss(into, 0.1 + 0.02 * (i % 2)))])).Quiet);
    }

    [Fact]
    public void What_was_lost_counts_at_the_pace_at_which_it_had_been_done()
    {
        // A second fault strikes 4 s into a step that a rank less made longer.
        var outcome = Play(Options(Studies.Elastic(Studies.Instant)), 400, new Fault(150, [5], false), new Fault(157, [6], false, IntoStep: 4));
        Assert.Equal(4, Math.Round(outcome.Incidents[1].LostSeconds, 6));
    }

    [Fact]
    public void More_losses_than_parity_bears_are_read_from_disk()
    {
        // Ranks 0 and 4 are paths 0 and 1 of stage 0: one parity group. Ranks 0 and 5 are of two.
        var options = Options(Studies.Elastic(Studies.Instant));
        Assert.True(Assert.Single(Play(options, 400, new Fault(157, [0, 4], false)).Incidents).FromDisk);
        Assert.False(Assert.Single(Play(options, 400, new Fault(157, [0, 5], false)).Incidents).FromDisk);
        // Processes that die leave their memory behind.
        Assert.False(Assert.Single(Play(options, 400, new Fault(157, [0, 4], true)).Incidents).FromDisk);
        // A second loss before the next snapshot counts with the first; after it, parity is whole again.
        Assert.Equal([false, true], Play(options, 600, new Fault(157, [0], false), new Fault(160, [4], false)).Incidents.Select(incident => incident.FromDisk));
        Assert.Equal([false, false], Play(options, 600, new Fault(157, [0], false), new Fault(300, [4], false)).Incidents.Select(incident => incident.FromDisk));
    }

    [Fact]
    public void A_lost_node_slows_the_job_until_a_spare_joins()
    {
        var options = Options(Studies.Elastic(Studies.Instant)) with
        {
            Cluster = new() { PerNode = 1, Spares = 0.01, SpareStartSeconds = 200, RepairHours = 1e6 },
            Failures = new() { AcceleratorHours = 1e9, Software = 0, Correlated = 0 },
        };
        var slow = Options(Studies.Elastic(Studies.Instant));
        var with = Play(options, 2_000, new Fault(100, [0], false));
        var without = Play(slow, 2_000, new Fault(100, [0], false));
        Assert.True(with.Steps > without.Steps);
        var shape = options.Shape(4);
        var after = Perennial.Resilience.Partition.DegradedSteps.Elastic(shape, Perennial.Resilience.Partition.Occupancy.Without(shape, (0, 0)))!;
        Assert.Equal(10 + (long)(1_900 / after.Seconds), without.Steps);
        Assert.Equal((without.Steps - 10) * (after.Seconds - 10), without.Shares.Degraded, 6);
        // The spare joins at a step's end: nothing is lost but the last, unfinished step.
        Assert.InRange(with.Shares.Lost, 0, 10);
        Assert.Single(with.Incidents);
    }

    [Fact]
    public void Slow_nodes_cost_what_they_are_slower_by()
    {
        var options = Options(Studies.Restart(Studies.Instant)) with { Cluster = new() { PerNode = 1, RespawnSeconds = 0, Spares = 0, Slow = 1, SlowSpeed = 0.5 } };
        var all = Play(options, 1_000);
        Assert.Equal((50, 500.0, 500.0), (all.Steps, Math.Round(all.Shares.Useful, 6), Math.Round(all.Shares.Degraded, 6)));
        // A few of them: the slowest sets the pace of equal shares, and less work for them makes up for it.
        var few = options.Cluster with { Slow = 0.2 };
        var elastic = Options(Studies.Elastic(Studies.Instant)) with { Job = options.Job with { Samples = 32 }, Cluster = few };
        Assert.Equal(50, Play(options with { Cluster = few }, 1_000).Steps);
        Assert.InRange(Play(elastic, 1_000).Steps, 80, 99);
    }

    [Fact]
    public void A_job_without_a_whole_path_waits_for_nodes()
    {
        var options = Options(new("drop-replica", typeof(DropReplicaRecovery), new DropReplicaRecoveryOptions { Times = Studies.Instant })) with { Accelerators = [4], Cluster = new() { PerNode = 1, RespawnSeconds = 300, Spares = 0 } };
        var outcome = Play(options, 1_000, new Fault(155, [2], true));
        // 15 steps, lost to the last checkpoint since the only path is gone; 300 s of waiting; the rest from step 10 on.
        Assert.Equal(300, outcome.Shares.Down, 6);
        Assert.Equal(10 + 54, outcome.Steps);
        Assert.Equal(300 + 55, Assert.Single(outcome.Incidents).Seconds, 6);
    }

    [Fact]
    public void An_idle_rank_of_a_dropped_path_interrupts_nothing()
    {
        var options = Options(new("drop-replica", typeof(DropReplicaRecovery), new DropReplicaRecoveryOptions { Times = Studies.Instant with { Group = 5 } }));
        var outcome = Play(options, 1_000, new Fault(100, [0], false), new Fault(200, [1], false), new Fault(300, [4], false));
        Assert.Equal((3, 2), (outcome.Faults, outcome.Incidents.Count));
    }

    private static RecoveryIncident Rounded(RecoveryIncident incident) => incident with { Seconds = Math.Round(incident.Seconds, 6), LostSeconds = Math.Round(incident.LostSeconds, 6) };
}
