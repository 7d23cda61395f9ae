namespace Perennial.Resilience.Layouts;

/// <summary>A rank that holds a region, and where.</summary>
internal readonly record struct Holder(int Rank, Patch Patch, bool Replica);

/// <summary>A block of a tensor that every one of its holders has as a whole.</summary>
internal sealed record Region(Block Block, IReadOnlyList<Holder> Holders);

/// <summary>
/// A layout cut so finely that each region is held whole by each of its holders: the common refinement of all ranks' runs.
/// Plans choose sources, checkpoints choose writers, and the gate compares replicas region by region.
/// </summary>
internal sealed class LayoutRegions
{
    private LayoutRegions(IReadOnlyList<long> widths, IReadOnlyList<IReadOnlyList<Region>> tensors)
    {
        Widths = widths;
        Tensors = tensors;
    }

    /// <summary>Bytes of a row of each tensor's plane.</summary>
    public IReadOnlyList<long> Widths { get; }

    /// <summary>The regions of each tensor, disjoint, by row and column; holders by rank.</summary>
    public IReadOnlyList<IReadOnlyList<Region>> Tensors { get; }

    /// <summary>The regions of a layout.</summary>
    /// <param name="layout">The layout.</param>
    /// <param name="without">Ranks that hold nothing any more.</param>
    /// <param name="widths">Row widths to use instead of the layout's own; each at most the layout's own.</param>
    public static LayoutRegions Of(Layout layout, IReadOnlySet<int>? without = null, IReadOnlyList<long>? widths = null)
    {
        var runs = RunsByTensor(layout, without);
        widths ??= [.. layout.Tensors.Select((tensor, i) => Plane.Width(tensor.Bytes, runs[i].Select(entry => entry.Run)))];
        var tensors = new IReadOnlyList<Region>[layout.Tensors.Count];
        for (var tensor = 0; tensor < tensors.Length; tensor++) tensors[tensor] = Refine(runs[tensor], widths[tensor]);
        return new(widths, tensors);
    }

    /// <summary>The runs of each tensor with their rank, by rank.</summary>
    public static List<(int Rank, LayoutRun Run)>[] RunsByTensor(Layout layout, IReadOnlySet<int>? without = null)
    {
        var lists = new List<(int, LayoutRun)>[layout.Tensors.Count];
        for (var tensor = 0; tensor < lists.Length; tensor++) lists[tensor] = [];
        for (var rank = 0; rank < layout.Ranks.Count; rank++)
        {
            if (without is not null && without.Contains(rank)) continue;
            foreach (var run in layout.Ranks[rank].Runs) lists[run.Tensor].Add((rank, run));
        }
        return lists;
    }

    private static Region[] Refine(List<(int Rank, LayoutRun Run)> runs, long width)
    {
        // Replicas of one cut have equal blocks: they meet in the dictionary. Only different cuts have to be refined.
        var equal = new Dictionary<Block, List<Holder>>();
        var patches = new List<Patch>();
        foreach (var (rank, run) in runs)
        {
            patches.Clear();
            Plane.Add(run, width, patches);
            foreach (var patch in patches)
            {
                if (!equal.TryGetValue(patch.Block, out var holders)) equal.Add(patch.Block, holders = []);
                holders.Add(new(rank, patch, run.Replica));
            }
        }
        var regions = equal.Select(pair => (Block: pair.Key, Holders: pair.Value)).ToList();
        if (regions.Count > 1 && Plane.Clash([.. equal.Keys]) is not null) regions = Split(regions);
        return [.. regions.OrderBy(region => region.Block.Row).ThenBy(region => region.Block.Column)
            .Select(region => new Region(region.Block, [.. region.Holders.OrderBy(holder => holder.Rank).Select(holder => holder with { Patch = holder.Patch.At(region.Block) })]))];
    }

    private static List<(Block Block, List<Holder> Holders)> Split(List<(Block Block, List<Holder> Holders)> groups)
    {
        var done = new List<(Block Block, List<Holder> Holders)>();
        foreach (var (block, holders) in groups)
        {
            var rest = new List<Block> { block };
            for (var i = done.Count - 1; i >= 0 && rest.Count > 0; i--)
            {
                var old = done[i];
                if (!old.Block.Overlaps(block)) continue;
                // What both hold becomes a region of its own; the remainder of the old one keeps its holders.
                var common = old.Block.Common(block);
                var around = new List<Block>();
                old.Block.Around(common, around);
                done[i] = (common, [.. old.Holders, .. holders]);
                done.AddRange(around.Select(piece => (piece, old.Holders)));
                rest = LayoutCheck.Without(rest, common);
            }
            done.AddRange(rest.Select(piece => (piece, holders)));
        }
        return done;
    }
}
