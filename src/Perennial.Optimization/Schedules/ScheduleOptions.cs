using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Optimization;

/// <summary>What every schedule's options have: a warmup and a floor.</summary>
public abstract record ScheduleOptions
{
    /// <summary>Stretch over which the rate rises linearly from 0 to its peak.</summary>
    public RunLength Warmup { get; init; } = RunLength.None;

    /// <summary>Floor: the factor at the end, a ratio of the peak rate.</summary>
    [Range(0.0, 1)]
    public double Final { get; init; }

    /// <summary>Where in the run an update lies.</summary>
    /// <param name="step">Finished steps.</param>
    /// <param name="plan">The run.</param>
    /// <param name="warmupSteps">Steps of warmup.</param>
    /// <returns>The warmup's factor while it lasts: (step + 1) / warmup; null afterwards.</returns>
    internal double? WarmupFactor(long step, SchedulePlan plan, out long warmupSteps)
    {
        ArgumentNullException.ThrowIfNull(plan);
        warmupSteps = plan.Beginning(Warmup);
        return step < warmupSteps ? (step + 1) / (double)warmupSteps : null;
    }

    /// <summary>From 1 down to <see cref="Final"/> as a shape goes from 1 to 0.</summary>
    internal double Floored(double shape) => Final + (1 - Final) * shape;

    /// <summary>How much of the stretch after <paramref name="from"/> is finished, 0 to 1.</summary>
    internal static double Progress(long step, long from, long to) => to <= from ? 1 : Math.Clamp((step - from) / (double)(to - from), 0, 1);
}
