using Perennial.Core;
using Perennial.Resilience.Layouts;

namespace Perennial.Resilience.Plans;

/// <summary>
/// Makes plans: cuts the sources into regions with their holders, lays every target block over them, and picks for each piece
/// the target itself, then a holder on its node, then any, by <see cref="SourceBalance"/>.
/// </summary>
internal sealed class TransferPlanner
{
    private readonly Layout from, to;
    private readonly TransferOptions options;
    private readonly List<(int Rank, LayoutRun Run)>[] targets;
    private readonly int[] sourceOf;
    private readonly LayoutRegions regions;
    private readonly SourceBalance balance;

    // One target's copies and, for each source, the last of them: the one a new copy may continue.
    private readonly List<TransferCopy>[] copies;
    private readonly int[] last;
    private readonly List<TransferMean> means = [];
    private readonly List<(Block Part, Holder Holder)> parts = [];

    public TransferPlanner(Layout from, Layout to, TransferOptions options)
    {
        ArgumentNullException.ThrowIfNull(from);
        ArgumentNullException.ThrowIfNull(to);
        (this.from, this.to, this.options) = (from, to, options);
        sourceOf = Match(from, to, options.Unused);
        targets = LayoutRegions.RunsByTensor(to);
        var sources = LayoutRegions.RunsByTensor(from, options.Lost);
        var widths = from.Tensors.Select((tensor, i) => Plane.Width(tensor.Bytes, sources[i].Select(entry => entry.Run))).ToArray();
        for (var tensor = 0; tensor < to.Tensors.Count; tensor++)
            widths[sourceOf[tensor]] = Plane.Width(widths[sourceOf[tensor]], targets[tensor].Select(entry => entry.Run));
        regions = LayoutRegions.Of(from, options.Lost, widths);
        balance = new SourceBalance(from.Ranks.Count);
        copies = new List<TransferCopy>[to.Ranks.Count];
        for (var rank = 0; rank < copies.Length; rank++) copies[rank] = [];
        last = new int[to.Ranks.Count * from.Ranks.Count];
        Array.Fill(last, -1);
    }

    /// <param name="only">The target rank whose copies are kept; null for all. Loads are followed for all in either case.</param>
    public TransferPlan Plan(int? only)
    {
        var missing = Lay((target, tensor, pieces) =>
        {
            foreach (var (patch, region) in pieces) Serve(target, from.Tensors[tensor], patch, region, only is null || only == target);
        });
        return missing.Count > 0 ? throw Lost(missing) : new(from, to, [.. copies.SelectMany(list => list)], means);
    }

    public IReadOnlyList<LogicalRange> Missing() => Lay((_, _, _) => { });

    /// <summary>Goes through all targets in order with the pieces that regions give them; returns what no region gives.</summary>
    private List<LogicalRange> Lay(Action<int, int, List<(Patch Target, Region Source)>> serve)
    {
        var missing = new Dictionary<int, List<Block>>();
        var patches = new List<Patch>();
        var pieces = new List<(Patch, Region)>();
        for (var tensor = 0; tensor < to.Tensors.Count; tensor++)
        {
            var source = sourceOf[tensor];
            var width = regions.Widths[source];
            var candidates = regions.Tensors[source];
            foreach (var group in targets[tensor].GroupBy(entry => entry.Rank))
            {
                patches.Clear();
                pieces.Clear();
                foreach (var (_, run) in group) Plane.Add(run, width, patches);
                foreach (var patch in patches)
                {
                    var found = 0L;
                    for (var i = FirstReaching(candidates, patch.Block); i < candidates.Count && candidates[i].Block.Row < patch.Block.EndRow; i++)
                    {
                        if (!candidates[i].Block.Overlaps(patch.Block)) continue;
                        var common = candidates[i].Block.Common(patch.Block);
                        pieces.Add((patch.At(common), candidates[i]));
                        found += common.Area;
                    }
                    if (found < patch.Block.Area) Note(missing, source, patch.Block, candidates);
                }
                serve(group.Key, source, pieces);
            }
        }
        var ranges = new List<LogicalRange>();
        foreach (var (tensor, blocks) in missing.OrderBy(entry => entry.Key)) LayoutCheck.Describe(from.Tensors[tensor].Name, blocks, regions.Widths[tensor], ranges);
        return ranges;
    }

    private void Serve(int target, LogicalTensor tensor, Patch patch, Region region, bool keep)
    {
        var mine = Holding(region.Holders, target);
        if (options.Means && tensor.Replicas == Replicas.Average && region.Holders.Count > 1 && !SamePlacement)
        {
            if (keep) means.Add(Mean(target, patch, region));
            return;
        }
        if (mine is { } own)
        {
            if (keep) Emit(target, patch, own.Patch.At(patch.Block), target);
            return;
        }
        parts.Clear();
        balance.Share(patch.Block, Near(region.Holders, target), parts);
        if (!keep) return;
        foreach (var (part, holder) in parts) Emit(target, patch.At(part), holder.Patch, holder.Rank);
    }

    /// <summary>Under an unchanged layout every rank keeps its own values, averaged or not: nothing is changed.</summary>
    private bool SamePlacement => same ??= options.Lost is not { Count: > 0 } && from.Equals(to);

    private bool? same;

    private void Emit(int target, Patch to, Patch source, int rank)
    {
        var block = to.Block;
        var copy = new TransferCopy(rank, source.Local, target, to.Local, block.Columns, block.Rows, source.Stride, to.Stride).Normal();
        var list = copies[target];
        ref var before = ref last[target * from.Ranks.Count + rank];
        if (before >= 0 && list[before].Joined(copy) is { } joined) list[before] = joined;
        else
        {
            before = list.Count;
            list.Add(copy);
        }
    }

    private static TransferMean Mean(int target, Patch patch, Region region)
    {
        var rows = patch.Block.Rows;
        long Stride(long stride) => rows == 1 ? 0 : stride;
        return new(target, patch.Local, Stride(patch.Stride), patch.Block.Columns, rows, [.. region.Holders.Select(holder =>
        {
            var part = holder.Patch.At(patch.Block);
            return new MeanSource(holder.Rank, part.Local, Stride(part.Stride));
        })]);
    }

    private IReadOnlyList<Holder> Near(IReadOnlyList<Holder> holders, int target)
    {
        if (options.RanksPerNode <= 1 || holders.Count == 1) return holders;
        var near = holders.Where(holder => holder.Rank / options.RanksPerNode == target / options.RanksPerNode).ToList();
        return near.Count > 0 ? near : holders;
    }

    private static Holder? Holding(IReadOnlyList<Holder> holders, int rank)
    {
        foreach (var holder in holders)
            if (holder.Rank == rank) return holder;
        return null;
    }

    /// <summary>Where the search for regions that overlap a block begins. Only a plane of one row is searched by halves: there regions come by column.</summary>
    private static int FirstReaching(IReadOnlyList<Region> regions, Block block)
    {
        if (regions.Count < 8 || regions[^1].Block.EndRow > 1) return 0;
        int low = 0, high = regions.Count;
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (regions[middle].Block.EndColumn <= block.Column) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    private static void Note(Dictionary<int, List<Block>> missing, int tensor, Block block, IReadOnlyList<Region> candidates)
    {
        var rest = new List<Block> { block };
        foreach (var region in candidates) rest = LayoutCheck.Without(rest, region.Block);
        if (!missing.TryGetValue(tensor, out var blocks)) missing.Add(tensor, blocks = []);
        // Several targets may lack the same bytes: they are told once.
        foreach (var known in blocks) rest = LayoutCheck.Without(rest, known);
        blocks.AddRange(rest);
    }

    private static PerennialException Lost(List<LogicalRange> missing) => PerennialException.Damaged(
        $"{missing.Sum(range => range.Length)} bytes have no holder left: {string.Join(", ", missing.Take(8).Select(range => $"{range.Tensor} [{range.Offset}, {range.Offset + range.Length})"))}"
        + (missing.Count > 8 ? $" and {missing.Count - 8} more ranges" : "") + "; restore them from parity or from a checkpoint");

    private static int[] Match(Layout from, Layout to, bool unused)
    {
        var source = new int[to.Tensors.Count];
        for (var i = 0; i < source.Length; i++)
        {
            var wanted = to.Tensors[i];
            source[i] = from.IndexOf(wanted.Name) ?? throw PerennialException.Usage($"the source has no tensor '{wanted.Name}'");
            var offered = from.Tensors[source[i]];
            if (!wanted.Fits(offered)) throw PerennialException.Usage($"tensor {wanted} is wanted, the source has {offered}");
        }
        if (!unused && from.Tensors.FirstOrDefault(tensor => to.IndexOf(tensor.Name) is null) is { } idle)
            throw PerennialException.Usage($"the target has no tensor '{idle.Name}', which the source has; say so if it is to be dropped");
        return source;
    }
}
