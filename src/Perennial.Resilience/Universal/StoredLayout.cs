using Perennial.Core;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>
/// Layouts of files. A file of a checkpoint is a rank's buffer like any other, so that the same plans lead from memory to files,
/// from files to memory, and from files to files.
/// </summary>
public static class StoredLayout
{
    /// <summary>
    /// Who writes what: each logical byte is written by one of the ranks that own it, packed without gaps, the bytes balanced over
    /// the ranks. Only values that may differ between replicas are written by every holder.
    /// </summary>
    /// <param name="live">The layout in memory.</param>
    public static StateLayout Duty(StateLayout live)
    {
        ArgumentNullException.ThrowIfNull(live);
        var balance = new SourceBalance(live.Ranks);
        return live with { Slots = [.. live.Slots.Select(slot => slot with { Layout = Duty(slot.Layout, balance) })] };
    }

    /// <summary>One file a tensor, whole and unpadded: the atoms of paper 47.</summary>
    /// <param name="state">Any layout of the same tensors.</param>
    public static StateLayout Atoms(StateLayout state)
    {
        ArgumentNullException.ThrowIfNull(state);
        var names = state.Slots.SelectMany(slot => slot.Layout.Tensors.Select(tensor => tensor.Name)).Distinct(StringComparer.Ordinal).ToList();
        return new(ParallelShape.Single, [.. state.Slots.Select(slot => slot with
        {
            Layout = Layout.Of(slot.Layout.Tensors, names.Select(name => slot.Layout.IndexOf(name) is { } index && slot.Layout.Tensors[index].Bytes is > 0 and var bytes
                ? new RankBuffer(bytes, [new LayoutRun(index, 0, 0, bytes)]) : new RankBuffer(0, []))),
        })]);
    }

    private static Layout Duty(Layout live, SourceBalance balance)
    {
        var regions = LayoutRegions.Of(live);
        var runs = new List<LayoutRun>[live.Ranks.Count];
        var ends = new long[live.Ranks.Count];
        for (var rank = 0; rank < runs.Length; rank++) runs[rank] = [];
        var parts = new List<(Block Part, Holder Holder)>();
        for (var tensor = 0; tensor < live.Tensors.Count; tensor++)
            foreach (var region in regions.Tensors[tensor])
            {
                parts.Clear();
                if (live.Tensors[tensor].Replicas == Replicas.Average)
                    parts.AddRange(region.Holders.Select(holder => (region.Block, holder)));
                else
                {
                    var owners = region.Holders.Where(holder => !holder.Replica).ToList();
                    balance.Share(region.Block, owners.Count > 0 ? owners : region.Holders, parts);
                }
                foreach (var (part, holder) in parts)
                {
                    var width = regions.Widths[tensor];
                    runs[holder.Rank].Add(new LayoutRun(tensor, part.Row * width + part.Column, ends[holder.Rank], part.Columns, part.Rows, width, part.Columns));
                    ends[holder.Rank] += part.Area;
                }
            }
        return Layout.Of(live.Tensors, runs.Select((list, rank) => new RankBuffer(ends[rank], list)));
    }
}
