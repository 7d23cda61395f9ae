using System.Text.Json.Nodes;
using Perennial.Cli.Launch;
using Perennial.Core.Recipes;
using Perennial.Resilience.Simulation;
using Perennial.Training;

namespace Perennial.Cli.Tests;

public class LaunchTests
{
    private static IReadOnlyList<long> Batch(long number) => [.. Enumerable.Range(0, 4).Select(i => number * 4 + i)];

    private static IEnumerable<RunEvent> Step(long step, params IReadOnlyList<long>[] byRank) => [new StepDone(step, step * 4, 1, 1, 1, 0.01, 0), new SamplesCommitted(step, 1, byRank)];

    [Fact]
    public void Any_order_of_a_steps_own_samples_is_right()
    {
        var audit = SampleAudit.Of([.. Step(1, [0, 1], [2, 3]), .. Step(2, [4, 7], [5, 6])], Batch, (0, 2));
        Assert.Equal((2, 8, 0L), (audit.Steps, (int)audit.Samples, audit.Lost));
        Assert.Empty(audit.Wrong);
        Assert.Contains("none lost, none twice", audit.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_record_that_ends_before_the_run_is_no_proof()
    {
        var audit = SampleAudit.Of(Step(1, [0, 1], [2, 3]), Batch, (0, 3));
        Assert.Equal(2, audit.Unrecorded);
        Assert.DoesNotContain("none lost", audit.ToString(), StringComparison.Ordinal);
        // Steps before this launch may have been one process's, which keeps no such record.
        Assert.Equal(0, SampleAudit.Of([], Batch, (3, 3)).Unrecorded);
    }

    [Fact]
    public void Missing_samples_are_lost_and_foreign_or_double_ones_are_wrong()
    {
        var audit = SampleAudit.Of([.. Step(1, [0, 1]), .. Step(2, [4, 4], [5, 6]), .. Step(3, [8, 9], [10, 12])], Batch, (0, 3));
        Assert.Equal(2, audit.Lost);
        Assert.Equal([2, 3], audit.Wrong);
        Assert.Contains("2 of 3 steps did not take", audit.ToString(), StringComparison.Ordinal);
        Assert.Contains("2 lost", SampleAudit.Of(Step(1, [0, 1]), Batch, (0, 1)).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Recoveries_are_written_as_simulate_reads_them()
    {
        var folder = Directory.CreateTempSubdirectory("perennial-recoveries-").FullName;
        try
        {
            var time = new FakeTime();
            var log = new RecoveryLog("a", "elastic", 3, time);
            log.OnEvent(new RunStarted("r", "", 1, 9, 1, 0, 1, 1, new JsonObject()));
            for (var step = 1; step <= 5; step++)
            {
                time.Seconds += 0.25;
                log.OnEvent(new StepDone(step, 0, 1, 1, 1, 0.2, 0));
                log.OnEvent(new SamplesCommitted(step, 1, [[0], [1], [2]]));
                if (step % 2 == 0) log.OnEvent(new CheckpointWritten(step, "c", 1, 0.01));
            }
            time.Seconds += 0.1;
            log.OnFault([2]);
            time.Seconds += 0.75;
            log.OnEvent(new StepDone(6, 0, 1, 1, 1, 0.25, 0));
            log.OnEvent(new Recovered(5, 2, 3, 2, "lost", new RecoveryPhases(0.1, 0.2, 0.03, 0.001, 0.02, 0.4), DateTimeOffset.UnixEpoch));
            log.OnEvent(new SamplesCommitted(6, 2, [[0], [1]]));
            // Steps with fewer ranks, and the one with which the third comes back, say nothing of a whole step.
            for (var step = 7; step <= 9; step++)
            {
                time.Seconds += 0.9;
                log.OnEvent(new StepDone(step, 0, 1, 1, 1, 0.2, 0));
                log.OnEvent(new SamplesCommitted(step, step == 9 ? 3 : 2, step == 9 ? [[0], [1], [2]] : [[0], [1, 2]]));
            }
            time.Seconds += 0.1;
            log.OnFault([0]);
            time.Seconds += 0.75;
            // The next leader tells of itself before it tells of the recovery.
            log.OnEvent(new RunStarted("r", "", 1, 9, 1, 8, 1, 1, new JsonObject()));
            log.OnEvent(new StepDone(10, 0, 1, 1, 1, 0.25, 0));
            log.OnEvent(new Recovered(9, 4, 3, 2, "lost", new RecoveryPhases(0.1, 0.2, 0.03, 0.001, 0.02, 0.4), DateTimeOffset.UnixEpoch));
            log.Write(folder);
            var run = Assert.Single(MeasuredRecoveries.Load(Path.Combine(folder, RecoveryLog.FileName), ComponentRegistry.Scan([typeof(IRecoveryPolicy).Assembly])).Runs);
            Assert.Equal(("a", "elastic", 3, 10, 0.25, 2), (run.Name, run.Policy, run.Paths, run.Steps, run.StepSeconds, run.CheckpointSteps));
            // From step 6 to 7 and from 7 to 8: 0.9 s each, both of whole batches.
            Assert.Equal([(2, 0.9)], run.Degraded.Select(pace => (pace.Ranks, pace.StepSeconds)));
            Assert.Equal([0.1, 0.1], run.Events.Select(one => one.Partial));
            Assert.Equal([5L, 9L], run.Events.Select(one => one.Step));
            // The fault at 1.35 s, the step with which the third is there from 3.9 to 4.8 s; whoever is ready waits for half a step in the mean.
            Assert.Equal((0.01, 2.1, 0.65), (run.CheckpointSeconds, Math.Round(run.RespawnSeconds, 6), Math.Round(run.JoinSeconds, 6)));
            // Nine steps were told, one of them of two samples for three.
            Assert.Equal(10 * 26 / 27.0, run.WholeSteps, 2);
            Assert.Equal([false, true], run.Events.Select(one => one.Leader));
            var recovery = run.Events[0];
            Assert.Equal([2], recovery.Ranks);
            Assert.Equal((0.2, 0.03, 0.001, 0.02, 0.15), (recovery.Agree, recovery.Group, recovery.Plan, recovery.Move, recovery.Replay));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void A_recovery_ends_with_new_progress_under_every_policy()
    {
        var elastic = new LaunchWatch(restarts: false);
        foreach (var told in Step(1, Batch(0))) elastic.OnEvent(told);
        elastic.OnFault();
        Assert.Null(elastic.Recovery());
        elastic.OnEvent(new Recovered(1, 2, 3, 2, "lost", new RecoveryPhases(0, 0, 0, 0, 0, 0), DateTimeOffset.UnixEpoch));
        Assert.Equal(1, (int)elastic.Recovery()!["count"]!);
        // Who is taken in at the end of a step was not waited for.
        elastic.OnEvent(new Recovered(2, 3, 2, 3, "joined", new RecoveryPhases(0, 5, 5, 5, 5, 5), DateTimeOffset.UnixEpoch));
        Assert.Equal((1, 0.0), ((int)elastic.Recovery()!["count"]!, (double)elastic.Recovery()!["agree_seconds"]!));

        var restart = new LaunchWatch(restarts: true);
        for (var step = 1; step <= 5; step++) restart.OnEvent(new StepDone(step, 0, 1, 1, 1, 1, 0));
        restart.OnFault();
        restart.OnEvent(new RunStarted("run", "", 1, 10, 1, 3, 1, 0, []));
        restart.OnEvent(new StepDone(4, 0, 1, 1, 1, 1, 0));
        var stepping = (double)restart.Recovery()!["fault_to_step_seconds"]!;
        Assert.Equal(0, (double)restart.Recovery()!["fault_to_progress_seconds"]!);
        restart.OnEvent(new StepDone(5, 0, 1, 1, 1, 1, 0));
        Assert.Equal(0, (double)restart.Recovery()!["fault_to_progress_seconds"]!);
        restart.OnEvent(new StepDone(6, 0, 1, 1, 1, 1, 0));
        Assert.True((double)restart.Recovery()!["fault_to_progress_seconds"]! >= stepping);
    }

    private sealed class FakeTime : TimeProvider
    {
        public double Seconds { get; set; }

        public override long TimestampFrequency => 1_000_000;

        public override long GetTimestamp() => (long)Math.Round(Seconds * TimestampFrequency);
    }
}
