using Perennial.Core;
using Perennial.Resilience.Partition;

namespace Perennial.Training.Parallel.Policies;

/// <summary>The rows of lost processes are shared among all others, row by row and by speed: no row is lost, nobody waits longer than needed.</summary>
[Component("elastic")]
public sealed class ElasticPolicy : ILossPolicy
{
    /// <inheritdoc/>
    public StepShares Share(ShareInput who) => Contiguous(who);

    /// <summary>One contiguous run of units a rank, the split that is done soonest (paper 23 §1).</summary>
    internal static StepShares Contiguous(ShareInput who)
    {
        ArgumentNullException.ThrowIfNull(who);
        var units = (who.Rows + who.Unit - 1) / who.Unit;
        var (first, shares) = (0, new List<IReadOnlyList<Range>>());
        foreach (var count in WaveShares.Split(units, who.Speeds).Counts)
        {
            var end = Math.Min(who.Rows, (first + count) * who.Unit);
            shares.Add(count == 0 ? [] : [(first * who.Unit)..end]);
            first += count;
        }
        return new(shares);
    }
}
