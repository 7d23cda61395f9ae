using Perennial.Core;

namespace Perennial.Optimization.Tests;

/// <summary>The schedules of continual training against the closed forms of their papers.</summary>
public class InfiniteScheduleTests
{
    private static RunLength Steps(double count) => new(count, RunUnit.Steps);

    [Fact]
    public void Infinite_has_the_papers_four_phases()
    {
        var schedule = new InfiniteSchedule(new InfiniteScheduleOptions { Warmup = Steps(10), Cooldown = Steps(40), Constant = 0.5, Anneal = Steps(20), Final = 0.01 });
        var plan = new SchedulePlan(120, 1);
        // The first update is made at a tenth of the peak instead of 0, as everywhere here: n of the paper is step + 1 during warmup.
        Assert.Equal(0.5, schedule.Factor(4, plan), 1e-12);
        foreach (var (n, expected) in new[] { (10, 1.0), (30, 0.75), (50, 0.5), (99, 0.5), (100, 0.5), (110, 0.070710678), (120, 0.01) })
            Assert.Equal(expected, schedule.Factor(n, plan), 1e-8);
        Assert.Equal(100, schedule.TrunkEnd(plan));
    }

    [Fact]
    public void A_stage_on_the_plateau_begins_at_its_level_and_a_pure_anneal_leaves_it_without_a_jump()
    {
        var plateau = new InfiniteSchedule(new InfiniteScheduleOptions { Constant = 0.3 });
        Assert.All(Enumerable.Range(0, 50), step => Assert.Equal(0.3, plateau.Factor(step, new SchedulePlan(50, 1)), 1e-12));
        Assert.Equal(50, plateau.TrunkEnd(new SchedulePlan(50, 1)));
        foreach (var shape in Enum.GetValues<AnnealShape>())
        {
            var anneal = new InfiniteSchedule(new InfiniteScheduleOptions { Constant = 0.3, Anneal = new(1, RunUnit.Fraction), AnnealShape = shape, Final = 0.01 });
            var plan = new SchedulePlan(40, 1);
            Assert.Equal(0.3, anneal.Factor(0, plan), 1e-12);
            Assert.Equal(0.01, anneal.Factor(40, plan), 1e-9);
            Assert.All(Enumerable.Range(0, 40), step => Assert.True(anneal.Factor(step + 1, plan) < anneal.Factor(step, plan)));
        }
    }

    [Fact]
    public void Rewarming_follows_the_papers_vector()
    {
        var schedule = new RewarmCosineSchedule(new RewarmCosineScheduleOptions { Warmup = Steps(10), Final = 0.1, Horizon = Steps(110) });
        var plan = new SchedulePlan(200, 1);
        Assert.Equal(0.5, schedule.Factor(4, plan), 1e-12);
        foreach (var (n, expected) in new[] { (10, 1.0), (60, 0.55), (110, 0.1), (200, 0.1) }) Assert.Equal(expected, schedule.Factor(n, plan), 1e-12);
        var raised = new RewarmCosineSchedule(new RewarmCosineScheduleOptions { Warmup = Steps(10), Start = 0.1, Top = 2, Final = 0.5, Horizon = Steps(110) });
        Assert.Equal(0.1 + 1.9 * 5 / 10, raised.Factor(4, plan), 1e-12);
        Assert.Equal(1, raised.Factor(150, plan), 1e-12);
    }

    [Fact]
    public void A_longer_plan_does_not_move_what_is_over()
    {
        var schedule = new WsdSchedule(new WsdScheduleOptions { Warmup = new(0.1, RunUnit.Fraction), Decay = new(0.2, RunUnit.Fraction) });
        var first = new SchedulePlan(100, 1) { FirstTotal = 100 };
        var longer = new SchedulePlan(1000, 1) { FirstTotal = 100, EarlierTotals = [100] };
        Assert.All(Enumerable.Range(0, 80), step => Assert.Equal(schedule.Factor(step, first), schedule.Factor(step, longer), 1e-12));
        Assert.Equal((80L, 800L), (schedule.TrunkEnd(first), schedule.TrunkEnd(longer)));
    }

    [Fact]
    public void A_finished_cosine_warms_up_and_decays_again()
    {
        var schedule = new CosineSchedule(new CosineScheduleOptions { Warmup = Steps(10), Final = 0.1 });
        var extended = new SchedulePlan(300, 1) { FirstTotal = 100, EarlierTotals = [100] };
        Assert.Equal(schedule.Factor(70, new SchedulePlan(100, 1)), schedule.Factor(70, extended), 1e-12);
        Assert.Equal(0.1, schedule.Factor(100, extended), 1e-12);
        Assert.Equal(1, schedule.Factor(110, extended), 1e-12);
        Assert.Equal(0.1, schedule.Factor(300, extended), 1e-12);
        Assert.Equal(300, schedule.TrunkEnd(extended));
    }
}
