using Perennial.Core;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

public sealed class SavingScheduleTests
{
    private static SavingSchedule Measured(ResilienceOptions options, double seconds)
    {
        var schedule = new SavingSchedule(options, totalSteps: 1_000_000, tokensPerStep: 512);
        for (var step = 1; step <= 9; step++)
        {
            schedule.Note(step == 1 ? 40 : seconds);
            Assert.False(schedule.IsDeciding);
        }
        schedule.Note(seconds);
        return schedule;
    }

    [Fact]
    public void A_recipe_with_lengths_is_kept_to()
    {
        var schedule = Measured(new ResilienceOptions { Snapshot = SavingInterval.Steps(3), Checkpoint = new SavingInterval(new RunLength(0.5, RunUnit.Fraction)) }, 1);
        Assert.False(schedule.IsDeciding);
        Assert.Equal([3L, 6, 9], Enumerable.Range(1, 9).Select(step => (long)step).Where(schedule.SnapshotDue));
        Assert.True(schedule.CheckpointDue(500_000));
        Assert.False(new SavingSchedule(new ResilienceOptions { Checkpoint = SavingInterval.Steps(0) }, 100, 1).CheckpointDue(100));
    }

    [Fact]
    public void Without_snapshots_every_fault_counts_for_checkpoints()
    {
        var schedule = Measured(new ResilienceOptions { Checkpoint = new SavingInterval(null), NodeFailures = 0, WorkerFailures = 24 }, 0.5);
        Assert.True(schedule.IsDeciding);
        Assert.False(schedule.CheckpointDue(100));
        // Young: a fault an hour, two seconds a checkpoint: every 120 s.
        Assert.Contains("= 120 s", Assert.Single(schedule.Decide(1, null, 0, 0, 2)), StringComparison.Ordinal);
        Assert.Equal((1, 240), schedule.Decided);
        Assert.True(schedule.CheckpointDue(480));
        Assert.False(schedule.IsDeciding);
    }

    [Fact]
    public void Snapshots_follow_any_fault_and_checkpoints_the_loss_of_memory()
    {
        var options = new ResilienceOptions { Snapshot = new SavingInterval(null), Checkpoint = new SavingInterval(null), NodeFailures = 0.24, WorkerFailures = 23.76 };
        var schedule = Measured(options, 1);
        var lines = schedule.Decide(4, (4, 1), 1 << 20, 0.02, 2);
        // Four nodes with a fault an hour each: 900 s between faults, √(2 · 0.02 s · 900 s) = 6 s.
        Assert.Equal(6, schedule.Decided.Snapshot);
        Assert.True(schedule.Decided.Checkpoint > 5_000, $"{schedule.Decided.Checkpoint}");
        Assert.Contains(lines, line => line.Contains("snapshots: every 6 steps", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.Contains("disk:", StringComparison.Ordinal));
        // Without parity the first lost node takes memory with it.
        var bare = Measured(options, 1);
        bare.Decide(4, (1, 0), 1 << 20, 0.02, 2);
        Assert.True(bare.Decided.Checkpoint < schedule.Decided.Checkpoint / 10, $"{bare.Decided.Checkpoint}");
    }

    [Fact]
    public void What_one_process_worked_out_others_take_over()
    {
        var schedule = Measured(new ResilienceOptions { Checkpoint = new SavingInterval(null) }, 1);
        schedule.Take((1, 77));
        Assert.False(schedule.IsDeciding);
        Assert.True(schedule.CheckpointDue(154));
    }
}
