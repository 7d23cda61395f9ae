using System.Globalization;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Partition;

namespace Perennial.Training.Parallel;

/// <summary>
/// Moves layers away from a process that stays slow (or back to one that is not any more), without a loss: every 16 steps all ranks tell each other what a layer
/// took, and where another plan would make the step a fifth shorter twice in a row, the leader starts the next membership, under which everyone takes that plan.
/// </summary>
/// <param name="planner">Makes plans.</param>
/// <param name="world">The processes.</param>
internal sealed class StageBalance(FixedPlanner planner, FixedWorld world)
{
    private const int Every = 16, InARow = 2;
    private (RollCall Roll, FixedPlan Plan, IReadOnlyList<int> Orders)? present;
    private int steps, seen;

    /// <summary>Begins anew under a plan; all ranks call it together.</summary>
    /// <param name="roll">Who is there.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="orders">Of every process the place that it was started for.</param>
    public void Begin(RollCall roll, FixedPlan plan, IReadOnlyList<int> orders) => (present, steps, seen) = ((roll, plan, orders), 0, 0);

    /// <summary>A step was taken; all ranks with a place call it. Who stands by is not asked, so where somebody does the plan stays.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public void AfterStep(ICommunicator ranks, StagePace mine)
    {
        if (present is not { } now || now.Plan.Spares > 0 || ++steps % Every != 0) return;
        const int fields = 2;
        var all = new double[fields * ranks.Size];
        ranks.AllGather([mine.Layer, mine.Head], all, [.. Enumerable.Repeat((long)fields, ranks.Size)]);
        if (ranks.Rank != 0) return;
        var gain = planner.Gain(now.Roll, now.Plan, now.Orders, [.. now.Plan.Places.Select(place => new StagePace(all[fields * place], all[fields * place + 1]))]);
        seen = gain >= ReshapePlanner.WorthIt ? seen + 1 : 0;
        if (seen < InARow) return;
        seen = 0;
        world.Renew(string.Create(CultureInfo.InvariantCulture, $"nobody was lost, but by measured speeds another arrangement makes the step {gain:F1} times as fast (resilience.balance)"));
    }
}
