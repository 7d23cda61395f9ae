using Perennial.Core;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="ConstantSchedule"/>.</summary>
public sealed record ConstantScheduleOptions
{
    /// <summary>Stretch over which the rate rises linearly from 0 to its peak.</summary>
    public RunLength Warmup { get; init; } = RunLength.None;
}

/// <summary>Stays at the peak after warmup.</summary>
[Component("constant")]
public sealed class ConstantSchedule(ConstantScheduleOptions options) : ISchedule
{
    /// <inheritdoc/>
    public double Factor(long step, long totalSteps, long tokensPerStep)
    {
        var warmup = options.Warmup.ToSteps(totalSteps, tokensPerStep);
        return step < warmup ? (step + 1) / (double)warmup : 1;
    }
}
