using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="RewarmCosineSchedule"/>.</summary>
public sealed record RewarmCosineScheduleOptions
{
    /// <summary>Stretch over which the rate rises linearly again.</summary>
    public RunLength Warmup { get; init; } = new(0.01, RunUnit.Fraction);

    /// <summary>Where the rise begins, a ratio of the peak rate: 0, or what the earlier run ended with.</summary>
    [Range(0.0, 1)]
    public double Start { get; init; }

    /// <summary>The top of the rise, a ratio of the peak rate; above 1 goes beyond it.</summary>
    [Range(0.0, 1000, MinimumIsExclusive = true)]
    public double Top { get; init; } = 1;

    /// <summary>Where the decay ends, a ratio of the top.</summary>
    [Range(0.0, 1)]
    public double Final { get; init; } = 0.1;

    /// <summary>Steps at which the decay ends; the rate stays at its floor afterwards. 100 % by default: the end of the run, or of the stage.</summary>
    public RunLength Horizon { get; init; } = new(1, RunUnit.Fraction);
}

/// <summary>Raises the rate of a finished model again and lets it fall along half a cosine: continual pre-training by re-warming and re-decaying (Gupta et al. 2023, arXiv 2308.04014).</summary>
/// <remarks>s &lt; W: start + (top − start)·s/W; W ≤ s ≤ H: f·top + (1 − f)·top/2·(1 + cos(π(s − W)/(H − W))); then f·top.</remarks>
[Component("rewarm-cosine")]
public sealed class RewarmCosineSchedule(RewarmCosineScheduleOptions options) : ISchedule
{
    /// <inheritdoc/>
    public double Factor(long step, SchedulePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        var warmup = plan.Beginning(options.Warmup);
        if (step < warmup) return options.Start + (options.Top - options.Start) * (step + 1) / warmup;
        return options.Top * (options.Final + (1 - options.Final) * DecayShape.Cosine.At(ScheduleOptions.Progress(step, warmup, Math.Max(warmup, plan.Ending(options.Horizon)))));
    }

    /// <inheritdoc/>
    public long TrunkEnd(SchedulePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return plan.TotalSteps;
    }
}
