using Perennial.Core;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="InverseSqrtSchedule"/>.</summary>
public sealed record InverseSqrtScheduleOptions : ScheduleOptions;

/// <summary>Falls as the inverse square root of the step after warmup (Vaswani et al. 2017), never below the floor.</summary>
[Component("inverse-sqrt")]
public sealed class InverseSqrtSchedule(InverseSqrtScheduleOptions options) : ISchedule
{
    /// <inheritdoc/>
    public double Factor(long step, SchedulePlan plan) =>
        options.WarmupFactor(step, plan, out var warmup) ?? Math.Max(options.Final, Math.Sqrt(Math.Max(1, warmup) / (double)Math.Max(Math.Max(1, warmup), step + 1)));

    /// <inheritdoc/>
    public long TrunkEnd(SchedulePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return plan.TotalSteps;
    }
}
