using Perennial.Core;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="CosineSchedule"/>.</summary>
public sealed record CosineScheduleOptions : ScheduleOptions;

/// <summary>Falls along half a cosine from the peak to the floor at the end of the run (Loshchilov and Hutter 2017). A finished run that is extended warms up and decays again.</summary>
[Component("cosine")]
public sealed class CosineSchedule(CosineScheduleOptions options) : ISchedule
{
    /// <inheritdoc/>
    public double Factor(long step, SchedulePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        var (inside, part) = plan.PartOf(step);
        return options.WarmupFactor(inside, part, out var warmup) ?? options.Floored(DecayShape.Cosine.At(ScheduleOptions.Progress(inside, warmup, part.TotalSteps)));
    }

    /// <inheritdoc/>
    public long TrunkEnd(SchedulePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return plan.TotalSteps;
    }
}
