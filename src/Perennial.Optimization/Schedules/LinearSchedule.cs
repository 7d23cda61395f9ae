using Perennial.Core;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="LinearSchedule"/>.</summary>
public sealed record LinearScheduleOptions : ScheduleOptions;

/// <summary>Falls in a straight line from the peak to the floor at the end of the run.</summary>
[Component("linear")]
public sealed class LinearSchedule(LinearScheduleOptions options) : ISchedule
{
    /// <inheritdoc/>
    public double Factor(long step, long totalSteps, long tokensPerStep) =>
        options.WarmupFactor(step, totalSteps, tokensPerStep, out var warmup) ?? options.Floored(DecayShape.Linear.At(ScheduleOptions.Progress(step, warmup, totalSteps)));
}
