namespace Perennial.Resilience.Coding;

/// <summary>How one stripe is mended.</summary>
/// <param name="Stripe">Its number.</param>
/// <param name="Lost">What to rebuild: members of the stripe in the code's numbering (below k data, then parity).</param>
/// <param name="Sources">The k chunks to read, in the code's order.</param>
public sealed record StripeRepair(int Stripe, IReadOnlyList<int> Lost, IReadOnlyList<GroupChunk> Sources);

/// <summary>What to read from whom so that all lost chunks can be rebuilt. A pure value.</summary>
/// <param name="Placement">The group's placement.</param>
/// <param name="Stripes">The stripes that lost something, in order.</param>
public sealed record RepairPlan(StripePlacement Placement, IReadOnlyList<StripeRepair> Stripes)
{
    /// <summary>Chunks that a rank sends.</summary>
    public int SentBy(int rank) => Stripes.Sum(stripe => stripe.Sources.Count(source => source.Rank == rank));

    /// <summary>The plan for lost ranks; null where more than m are lost.</summary>
    public static RepairPlan? ForRanks(StripePlacement placement, IReadOnlyCollection<int> lost)
    {
        ArgumentNullException.ThrowIfNull(placement);
        ArgumentNullException.ThrowIfNull(lost);
        return For(placement, chunk => lost.Contains(chunk.Rank), _ => true);
    }

    /// <summary>
    /// The plan for any set of lost chunks (whole ranks, or single chunks whose hash did not hold); null where a stripe with something
    /// wanted has fewer than k chunks left. Where there is a choice, ranks that have sent least so far are read.
    /// </summary>
    /// <param name="placement">The group's placement.</param>
    /// <param name="isLost">Whether a chunk is lost.</param>
    /// <param name="isWanted">Whether a lost chunk is to be rebuilt.</param>
    public static RepairPlan? For(StripePlacement placement, Func<GroupChunk, bool> isLost, Func<GroupChunk, bool> isWanted)
    {
        ArgumentNullException.ThrowIfNull(placement);
        ArgumentNullException.ThrowIfNull(isLost);
        ArgumentNullException.ThrowIfNull(isWanted);
        var sent = new int[placement.Ranks];
        var repairs = new List<StripeRepair>();
        for (var stripe = 0; stripe < placement.Ranks; stripe++)
        {
            var members = placement.Stripe(stripe).ToArray();
            var lost = Enumerable.Range(0, members.Length).Where(member => isLost(members[member]) && isWanted(members[member])).ToArray();
            if (lost.Length == 0) continue;
            var sources = Enumerable.Range(0, members.Length).Where(member => !isLost(members[member]))
                .OrderBy(member => sent[members[member].Rank]).ThenBy(member => member).Take(placement.DataChunks).Order().ToArray();
            if (sources.Length < placement.DataChunks) return null;
            foreach (var source in sources) sent[members[source].Rank]++;
            repairs.Add(new(stripe, lost, [.. sources.Select(source => members[source])]));
        }
        return new(placement, repairs);
    }
}
