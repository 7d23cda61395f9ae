using Perennial.Core;

namespace Perennial.Optimization;

/// <summary>The run, or stage, that a schedule is laid over. Steps count from its beginning.</summary>
/// <param name="TotalSteps">Planned steps.</param>
/// <param name="TokensPerStep">Tokens of one step, to read lengths given in tokens.</param>
public sealed record SchedulePlan(long TotalSteps, long TokensPerStep)
{
    /// <summary>Planned steps when it began: percent of beginnings are of these, so that a longer plan does not move what is over. 0: as now.</summary>
    public long FirstTotal { get; init; }

    /// <summary>Steps at which it was finished and then extended, ascending; mostly empty.</summary>
    public IReadOnlyList<long> EarlierTotals { get; init; } = [];

    /// <summary>A length at the beginning, in steps.</summary>
    public long Beginning(RunLength length)
    {
        var first = FirstTotal > 0 ? FirstTotal : TotalSteps;
        return Math.Min(length.ToSteps(first, TokensPerStep), Math.Max(0, first));
    }

    /// <summary>A length that counts from or to the end, in steps. Percent are of the present plan.</summary>
    public long Ending(RunLength length) => length.ToSteps(TotalSteps, TokensPerStep);

    /// <summary>The part of the plan that a step belongs to, as a plan of its own, for schedules that begin again after every extension.</summary>
    public (long Step, SchedulePlan Part) PartOf(long step)
    {
        var from = EarlierTotals.LastOrDefault(total => total <= step);
        var until = EarlierTotals.FirstOrDefault(total => total > step, TotalSteps);
        return (step - from, new SchedulePlan(until - from, TokensPerStep));
    }
}
