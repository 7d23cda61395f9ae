using Perennial.Core;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="LinearSchedule"/>.</summary>
public sealed record LinearScheduleOptions : ScheduleOptions;

/// <summary>Falls in a straight line from the peak to the floor at the end of the run. A finished run that is extended warms up and decays again.</summary>
[Component("linear")]
public sealed class LinearSchedule(LinearScheduleOptions options) : ISchedule
{
    /// <inheritdoc/>
    public double Factor(long step, SchedulePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        var (inside, part) = plan.PartOf(step);
        return options.WarmupFactor(inside, part, out var warmup) ?? options.Floored(DecayShape.Linear.At(ScheduleOptions.Progress(inside, warmup, part.TotalSteps)));
    }

    /// <inheritdoc/>
    public long TrunkEnd(SchedulePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return plan.TotalSteps;
    }
}
