using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="InfiniteSchedule"/>. Lengths in percent are shares of the run, or of the stage.</summary>
public sealed record InfiniteScheduleOptions : IValidatedOptions
{
    /// <summary>Stretch over which the rate rises linearly from 0 to its peak.</summary>
    public RunLength Warmup { get; init; } = RunLength.None;

    /// <summary>Stretch after warmup over which it falls from the peak to the plateau.</summary>
    public RunLength Cooldown { get; init; } = RunLength.None;

    /// <summary>How it falls to the plateau.</summary>
    public AnnealShape CooldownShape { get; init; } = AnnealShape.Cosine;

    /// <summary>The plateau, a ratio of the peak rate: held for as long as there are data.</summary>
    [Range(0.0, 1, MinimumIsExclusive = true)]
    public double Constant { get; init; } = 1.0 / 3;

    /// <summary>Stretch at the end over which the rate falls to <see cref="Final"/>; 0 leaves the plateau's state, from which training can go on. 100 % makes a pure anneal: a branch from a plateau.</summary>
    public RunLength Anneal { get; init; } = RunLength.None;

    /// <summary>How it falls at the end.</summary>
    public AnnealShape AnnealShape { get; init; } = AnnealShape.Exponential;

    /// <summary>Where the anneal ends, a ratio of the peak rate.</summary>
    [Range(0.0, 1)]
    public double Final { get; init; } = 0.01;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Final > Constant) yield return ("final", $"must be at most constant ({Constant})");
        if (Final == 0 && AnnealShape == AnnealShape.Exponential) yield return ("final", "must be above 0 with an exponential anneal; or take anneal-shape: linear, one-minus-sqrt or cosine");
        if (CooldownShape == AnnealShape.Exponential && Constant <= 0) yield return ("constant", "must be above 0");
    }
}

/// <summary>Infinite schedule: warmup, cooldown to a plateau that lasts over any number of data sets, a short anneal when a finished model is wanted (Singh, Janson et al. 2025, arXiv 2503.02844).</summary>
/// <remarks>Peak·s/W; then from 1 to c over the cooldown; then c; over the last A steps c·(f/c)^((s − (T − A))/A), which reaches f at step T.</remarks>
[Component("infinite")]
public sealed class InfiniteSchedule(InfiniteScheduleOptions options) : ISchedule
{
    /// <inheritdoc/>
    public double Factor(long step, SchedulePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        var warmup = plan.Beginning(options.Warmup);
        var cooled = warmup + plan.Beginning(options.Cooldown);
        var anneal = AnnealStart(plan, cooled);
        if (step >= anneal && anneal < plan.TotalSteps) return options.AnnealShape.Between(options.Constant, options.Final, Math.Min(1, (step - anneal) / (double)(plan.TotalSteps - anneal)));
        if (step < warmup) return (step + 1) / (double)warmup;
        return step < cooled ? options.CooldownShape.Between(1, options.Constant, (step - warmup) / (double)(cooled - warmup)) : options.Constant;
    }

    /// <inheritdoc/>
    public long TrunkEnd(SchedulePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return AnnealStart(plan, plan.Beginning(options.Warmup) + plan.Beginning(options.Cooldown));
    }

    // An anneal of the whole run begins at once; any other waits for the plateau.
    private long AnnealStart(SchedulePlan plan, long cooled)
    {
        var start = plan.TotalSteps - plan.Ending(options.Anneal);
        return start <= 0 ? 0 : Math.Min(plan.TotalSteps, Math.Max(start, cooled));
    }
}
