namespace Perennial.Resilience.Snapshots;

/// <summary>
/// A sliced snapshot as the managers that answer tell of it, whatever arrangement of nodes it was taken under: what is lost is known from
/// what is there, since a slice's memory says its size and its place in its group.
/// </summary>
/// <param name="Tag">The arrangement it was taken under (<see cref="SnapshotSlices.Tag"/>).</param>
/// <param name="Slices">Memory of each slice that the state needs, in order; made up from its group's where it is lost.</param>
/// <param name="Groups">The parity groups.</param>
/// <param name="Managers">The manager of each slice that still has one.</param>
/// <param name="Inventories">What they told.</param>
public sealed record FoundSnapshot(int Tag, IReadOnlyList<SlotIdentity> Slices, IReadOnlyList<ShardingGroup> Groups, IReadOnlyDictionary<int, SnapshotEndpoint> Managers, IReadOnlyList<RankInventory> Inventories)
{
    /// <summary>Bytes of a slice.</summary>
    public long SliceBytes => Slices[0].Bytes;

    /// <summary>The group of a slice.</summary>
    public ShardingGroup GroupOf(SlotIdentity slice) => Groups.First(group => group.Ranks.Contains(slice.Rank));

    /// <summary>The steps that any slice holds whole, newest first.</summary>
    public IReadOnlyList<long> Steps =>
        [.. Inventories.SelectMany(inventory => inventory.Slots).Where(slot => slot is { Kind: SlotKind.Data, State: >= SlotState.Prepared }).Select(slot => slot.Step).Distinct().OrderDescending()];

    /// <summary>What a slice had at a step, as its group's members know since the commit.</summary>
    public SlotProof? ProofOf(SlotIdentity slice, long step) =>
        Inventories.Where(inventory => GroupOf(slice).Ranks.Contains(inventory.Rank)).SelectMany(inventory => inventory.ProofsOf(step)).FirstOrDefault(proof => proof.Member == slice.GroupIndex);

    /// <summary>Whether, and from where, a step can be restored.</summary>
    public RestoreChoice At(long step) => RestoreChoice.Of(Groups, [.. Inventories.Select(inventory => inventory with { Slots = [.. inventory.Slots.Where(slot => slot.Step == step)] })]);

    /// <summary>All snapshots of a state among what managers hold.</summary>
    /// <param name="held">What each manager that answers holds.</param>
    /// <param name="stateBytes">Bytes of the state.</param>
    /// <param name="layoutHash">The layout's hash for a slice of so many bytes; memory of another layout is none of this state's.</param>
    public static IReadOnlyList<FoundSnapshot> Among(IReadOnlyDictionary<SnapshotEndpoint, IReadOnlyList<RankInventory>> held, long stateBytes, Func<long, ulong> layoutHash)
    {
        ArgumentNullException.ThrowIfNull(held);
        ArgumentNullException.ThrowIfNull(layoutHash);
        var fitting = held.SelectMany(pair => pair.Value.Select(inventory => (pair.Key, Inventory: inventory))).Where(one => one.Inventory.Identity.LayoutHash == layoutHash(one.Inventory.Identity.Bytes));
        return [.. fitting.GroupBy(one => (Tag: SnapshotSlices.TagOf(one.Inventory.Rank), one.Inventory.Identity.Bytes))
            .Select(same => Assemble(same.Key.Tag, same.Key.Bytes, stateBytes, [.. same.Select(one => (one.Key, one.Inventory))]))];
    }

    private static FoundSnapshot Assemble(int tag, long sliceBytes, long stateBytes, IReadOnlyList<(SnapshotEndpoint Manager, RankInventory Inventory)> held)
    {
        // Two managers may know one slice: the newer epoch's word counts.
        var newest = held.GroupBy(one => one.Inventory.Rank).ToDictionary(same => same.Key, same => same.MaxBy(one => one.Inventory.Epoch));
        var any = held[0].Inventory.Identity;
        var needed = (int)((stateBytes + sliceBytes - 1) / sliceBytes);
        var (slices, groups) = (new List<SlotIdentity>(), new List<ShardingGroup>());
        for (var number = 0; number < needed;)
        {
            var member = newest.Values.Select(one => one.Inventory.Identity).FirstOrDefault(identity => First(identity) <= number && number < First(identity) + identity.GroupSize);
            // Of a group that is lost whole nothing is known but that it is missing.
            var (first, size, losses) = member is null ? (number, 1, 0) : (First(member), member.GroupSize, member.Losses);
            groups.Add(new ShardingGroup([.. Enumerable.Range(first, size).Select(one => SnapshotSlices.Id(tag, one))], losses));
            for (; number < Math.Min(needed, first + size); number++)
                slices.Add(any with { Rank = SnapshotSlices.Id(tag, number), GroupSize = size, GroupIndex = number - first, Losses = losses });
        }
        return new(tag, slices, groups, newest.ToDictionary(pair => pair.Key, pair => pair.Value.Manager), [.. newest.Values.Select(one => one.Inventory)]);
    }

    private static int First(SlotIdentity identity) => SnapshotSlices.NumberOf(identity.Rank) - identity.GroupIndex;
}
