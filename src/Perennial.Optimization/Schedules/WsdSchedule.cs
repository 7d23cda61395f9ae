using Perennial.Core;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="WsdSchedule"/>.</summary>
public sealed record WsdScheduleOptions : ScheduleOptions
{
    /// <summary>Stretch at the end of the run over which the rate falls.</summary>
    public RunLength Decay { get; init; } = new(0.2, RunUnit.Fraction);

    /// <summary>How it falls.</summary>
    public DecayShape Shape { get; init; } = DecayShape.Linear;
}

/// <summary>Warmup, stable, decay: stays at the peak until the last stretch, then falls to the floor (Hu et al. 2024). A finished run is extended from where the decay began.</summary>
[Component("wsd")]
public sealed class WsdSchedule(WsdScheduleOptions options) : ISchedule
{
    /// <inheritdoc/>
    public double Factor(long step, SchedulePlan plan)
    {
        if (options.WarmupFactor(step, plan, out _) is { } rising) return rising;
        var start = TrunkEnd(plan);
        return step < start ? 1 : options.Floored(options.Shape.At(ScheduleOptions.Progress(step, start, plan.TotalSteps)));
    }

    /// <inheritdoc/>
    public long TrunkEnd(SchedulePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return Math.Max(plan.Beginning(options.Warmup), plan.TotalSteps - plan.Ending(options.Decay));
    }
}
