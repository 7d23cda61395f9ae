using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="ConstantSchedule"/>.</summary>
public sealed record ConstantScheduleOptions
{
    /// <summary>Stretch over which the rate rises linearly from 0 to its level.</summary>
    public RunLength Warmup { get; init; } = RunLength.None;

    /// <summary>The level, a ratio of the peak rate.</summary>
    [Range(0.0, 1)]
    public double Level { get; init; } = 1;
}

/// <summary>Stays at one level after warmup.</summary>
[Component("constant")]
public sealed class ConstantSchedule(ConstantScheduleOptions options) : ISchedule
{
    /// <inheritdoc/>
    public double Factor(long step, SchedulePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        var warmup = plan.Beginning(options.Warmup);
        return options.Level * (step < warmup ? (step + 1) / (double)warmup : 1);
    }

    /// <inheritdoc/>
    public long TrunkEnd(SchedulePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return plan.TotalSteps;
    }
}
