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

/// <summary>Warmup, stable, decay: stays at the peak until the last stretch, then falls to the floor (Hu et al. 2024).</summary>
[Component("wsd")]
public sealed class WsdSchedule(WsdScheduleOptions options) : ISchedule
{
    /// <inheritdoc/>
    public double Factor(long step, long totalSteps, long tokensPerStep)
    {
        if (options.WarmupFactor(step, totalSteps, tokensPerStep, out var warmup) is { } rising) return rising;
        var start = Math.Max(warmup, totalSteps - options.Decay.ToSteps(totalSteps, tokensPerStep));
        return step < start ? 1 : options.Floored(options.Shape.At(ScheduleOptions.Progress(step, start, totalSteps)));
    }
}
