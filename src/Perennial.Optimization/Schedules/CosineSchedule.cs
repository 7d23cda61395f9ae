using Perennial.Core;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="CosineSchedule"/>.</summary>
public sealed record CosineScheduleOptions : ScheduleOptions;

/// <summary>Falls along half a cosine from the peak to the floor at the end of the run (Loshchilov and Hutter 2017).</summary>
[Component("cosine")]
public sealed class CosineSchedule(CosineScheduleOptions options) : ISchedule
{
    /// <inheritdoc/>
    public double Factor(long step, long totalSteps, long tokensPerStep) =>
        options.WarmupFactor(step, totalSteps, tokensPerStep, out var warmup) ?? options.Floored(DecayShape.Cosine.At(ScheduleOptions.Progress(step, warmup, totalSteps)));
}
