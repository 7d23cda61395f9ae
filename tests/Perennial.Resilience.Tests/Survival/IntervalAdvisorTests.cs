using Perennial.Resilience.Survival;

namespace Perennial.Resilience.Tests.Survival;

public sealed class IntervalAdvisorTests
{
    private static readonly AdvisorInput Input = new()
    {
        Nodes = 512, NodeFailuresPerHour = 1e-4, StepSeconds = 10, SnapshotStallSeconds = 0.5, SnapshotSeconds = 6, CheckpointStallSeconds = 60,
        StateBytes = 10L << 30, MemoryBytes = 40L << 30, RunHours = 168,
    };

    [Fact]
    public void The_paper_s_machine_gets_the_paper_s_intervals()
    {
        var advice = IntervalAdvisor.Advise(Input with { GroupSizes = [8], MostLosses = 1 });
        Assert.Equal((26, 8, 1), (advice.SnapshotEverySteps, advice.GroupSize, advice.Losses)); // 265 s in steps of 10 s
        Assert.Equal(96 * 3600.0, advice.CheckpointSeconds, 2000.0);
        Assert.Equal(279_060.0, advice.MeanTimeToLossHours, 2.0);
        Assert.Contains(advice.Lines, line => line.Contains("parity: 1 of 8", StringComparison.Ordinal));
        Assert.Contains(advice.Lines, line => line.Contains("a fault every 19.53 h", StringComparison.Ordinal));
    }

    [Fact]
    public void Free_snapshots_are_taken_every_step_and_slow_ones_as_often_as_they_keep_up()
    {
        Assert.Equal(1, IntervalAdvisor.Advise(Input with { SnapshotStallSeconds = 0 }).SnapshotEverySteps);
        var slow = IntervalAdvisor.Advise(Input with { SnapshotStallSeconds = 0, SnapshotSeconds = 25 });
        Assert.Equal(3, slow.SnapshotEverySteps);
        Assert.Contains(slow.Lines, line => line.Contains("every 3 steps is the most that keeps up", StringComparison.Ordinal));
    }

    [Fact]
    public void The_cheapest_parity_that_is_safe_enough_is_chosen_and_memory_is_kept_to()
    {
        var cheap = IntervalAdvisor.Advise(Input);
        Assert.Equal((16, 1), (cheap.GroupSize, cheap.Losses));
        Assert.InRange(cheap.LossProbability, 0, 0.01);
        var safe = IntervalAdvisor.Advise(Input with { AcceptedLoss = 1e-6 });
        Assert.Equal((16, 2), (safe.GroupSize, safe.Losses));
        var tight = IntervalAdvisor.Advise(Input with { AcceptedLoss = 1e-6, MemoryBytes = 22L << 30 });
        Assert.Equal((16, 1), (tight.GroupSize, tight.Losses));
        Assert.Contains(tight.Lines, line => line.Contains("no choice that fits reaches", StringComparison.Ordinal));
        var none = IntervalAdvisor.Advise(Input with { MemoryBytes = 1 << 30 });
        Assert.Equal((1, 0), (none.GroupSize, none.Losses));
        Assert.Contains(none.Lines, line => line.Contains("snapshots are not possible", StringComparison.Ordinal));
    }

    [Fact]
    public void Settled_parity_is_kept_to()
    {
        var advice = IntervalAdvisor.Advise(Input with { Protection = (4, 1) });
        Assert.Equal((4, 1), (advice.GroupSize, advice.Losses));
        Assert.Equal(IntervalAdvisor.Advise(Input with { GroupSizes = [4], MostLosses = 1, AcceptedLoss = 1e-9 }).MeanTimeToLossHours, advice.MeanTimeToLossHours);
        Assert.True(IntervalAdvisor.Advise(Input with { Protection = (1, 0) }).CheckpointSeconds < advice.CheckpointSeconds / 10);
    }

    [Fact]
    public void A_single_node_and_a_machine_without_faults_get_finite_advice()
    {
        var advice = IntervalAdvisor.Advise(Input with { Nodes = 1, NodeFailuresPerHour = 0 });
        Assert.Equal((1, 0), (advice.GroupSize, advice.Losses));
        Assert.Equal(168 * 3600, advice.CheckpointSeconds);
        Assert.True(double.IsFinite(advice.Waste));
        Assert.Throws<ArgumentOutOfRangeException>(() => IntervalAdvisor.Advise(Input with { Nodes = 0 }));
    }
}
