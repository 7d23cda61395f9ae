using Perennial.Resilience.Coding;

namespace Perennial.Resilience.Snapshots;

/// <summary>The ranks that hold one model shard between them, and how many of them may be lost.</summary>
/// <param name="Ranks">Global ranks, in the group's order.</param>
/// <param name="Losses">m; 0 without parity.</param>
public sealed record ShardingGroup(IReadOnlyList<int> Ranks, int Losses)
{
    /// <summary>For ranks whose state others hold too (plain data parallelism without slicing): those others.</summary>
    public IReadOnlyDictionary<int, IReadOnlyList<int>> Replicas { get; init; } = new Dictionary<int, IReadOnlyList<int>>();

    /// <summary>The group's placement; null without parity.</summary>
    public StripePlacement? Placement => Losses == 0 ? null : new(Ranks.Count, Losses);
}

/// <summary>Where a rank's state comes from, best first (paper 02 §5).</summary>
public enum RestoreSource
{
    /// <summary>The rank's own slot: a copy in memory, no network.</summary>
    OwnMemory,

    /// <summary>The slot of a rank with the same bytes.</summary>
    Replica,

    /// <summary>Rebuilt from the group's data and parity.</summary>
    Parity,

    /// <summary>The last checkpoint on disk.</summary>
    Disk,
}

/// <summary>The step to restore, and from where each rank gets it.</summary>
/// <param name="Step">s*: null where only a disk checkpoint is left.</param>
/// <param name="Sources">For each rank of all groups.</param>
/// <param name="Reasons">The decision in words.</param>
public sealed record RestoreChoice(long? Step, IReadOnlyDictionary<int, RestoreSource> Sources, IReadOnlyList<string> Reasons)
{
    /// <summary>
    /// s* = the largest step such that in every group the members without a prepared or committed slot of it can be made from a replica or from
    /// what the others hold (paper 02 §3): so at most m of them are missing. Prepared everywhere counts even if the commit was lost.
    /// </summary>
    /// <param name="groups">All groups of the run.</param>
    /// <param name="inventories">What the managers that answered hold.</param>
    /// <param name="atMost">Later steps are not looked at.</param>
    public static RestoreChoice Of(IReadOnlyList<ShardingGroup> groups, IReadOnlyCollection<RankInventory> inventories, long atMost = long.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(groups);
        ArgumentNullException.ThrowIfNull(inventories);
        var byRank = inventories.GroupBy(inventory => inventory.Rank).ToDictionary(same => same.Key, same => same.OrderByDescending(inventory => inventory.Epoch).First());
        var reasons = new List<string>();
        var steps = inventories.SelectMany(inventory => inventory.Slots).Where(slot => slot.Kind == SlotKind.Data && slot.State >= SlotState.Prepared).Select(slot => slot.Step);
        foreach (var step in steps.Distinct().Where(step => step <= atMost).OrderDescending())
        {
            var sources = new Dictionary<int, RestoreSource>();
            var problem = groups.Select(group => Problem(group, step, byRank, sources)).FirstOrDefault(problem => problem is not null);
            if (problem is null)
            {
                reasons.Add($"step {step} is restored: {string.Join(", ", sources.GroupBy(pair => pair.Value).OrderBy(same => same.Key).Select(same => $"{same.Count()} from {Name(same.Key)}"))}");
                return new(step, sources, reasons);
            }
            reasons.Add($"step {step} cannot be restored from memory: {problem}");
        }
        reasons.Add("the last checkpoint on disk is restored");
        return new(null, groups.SelectMany(group => group.Ranks).ToDictionary(rank => rank, _ => RestoreSource.Disk), reasons);
    }

    /// <summary>A source in words.</summary>
    public static string Name(RestoreSource source) => source switch
    {
        RestoreSource.OwnMemory => "own memory",
        RestoreSource.Replica => "a replica",
        RestoreSource.Parity => "parity",
        _ => "disk",
    };

    private static string Names(IEnumerable<int> ranks) => string.Join(", ", ranks.Select(SnapshotSlices.NameOf));

    private static string? Problem(ShardingGroup group, long step, Dictionary<int, RankInventory> byRank, Dictionary<int, RestoreSource> sources)
    {
        var missing = new List<int>();
        foreach (var rank in group.Ranks)
        {
            var own = byRank.GetValueOrDefault(rank);
            if (own?.Has(step) == true) sources[rank] = RestoreSource.OwnMemory;
            else if (group.Replicas.GetValueOrDefault(rank)?.Any(other => byRank.GetValueOrDefault(other)?.Has(step) == true) == true) sources[rank] = RestoreSource.Replica;
            else
            {
                missing.Add(rank);
                sources[rank] = RestoreSource.Parity;
            }
        }
        if (missing.Count == 0) return null;
        var told = $"{Names(missing)} lost it and the group of {Names(group.Ranks)} tolerates {group.Losses}";
        if (group.Placement is not { } placement || missing.Count > group.Losses) return told;
        // Parity must be of the same step too.
        bool IsLost(GroupChunk chunk)
        {
            var rank = group.Ranks[chunk.Rank];
            return byRank.GetValueOrDefault(rank) is not { } held || held.StateOf(chunk.IsParity ? SlotKind.Parity : SlotKind.Data, step) < SlotState.Prepared;
        }
        return RepairPlan.For(placement, IsLost, chunk => !chunk.IsParity && missing.Contains(group.Ranks[chunk.Rank])) is null ? told + ", and parity of that step is missing" : null;
    }
}
