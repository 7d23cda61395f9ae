using Perennial.Core;

namespace Perennial.Resilience.Layouts;

/// <summary>The rules that every layout keeps, and the search for bytes that nobody holds.</summary>
internal static class LayoutCheck
{
    /// <exception cref="PerennialException">Exit 2: a run breaks a rule.</exception>
    public static void Refuse(Layout layout)
    {
        for (var rank = 0; rank < layout.Ranks.Count; rank++)
        {
            var buffer = layout.Ranks[rank];
            if (buffer.Bytes < 0) throw PerennialException.Usage($"rank {rank}: a buffer of {buffer.Bytes} bytes");
            foreach (var run in buffer.Runs) Refuse(layout, rank, buffer, run);
            var local = LocalClash(buffer);
            if (local is { } tensor) throw PerennialException.Usage($"rank {rank}: two runs lie on the same bytes of its buffer, near tensor '{layout.Tensors[tensor].Name}'");
            foreach (var group in buffer.Runs.GroupBy(run => run.Tensor).Where(group => group.Skip(1).Any()))
            {
                var width = Plane.Width(layout.Tensors[group.Key].Bytes, group);
                var patches = new List<Patch>();
                foreach (var run in group) Plane.Add(run, width, patches);
                if (Plane.Clash([.. patches.Select(patch => patch.Block)]) is not null)
                    throw PerennialException.Usage($"rank {rank}: it holds some bytes of tensor '{layout.Tensors[group.Key].Name}' twice");
            }
        }
    }

    /// <summary>What of each tensor no rank outside <paramref name="without"/> holds.</summary>
    public static IReadOnlyList<LogicalRange> Uncovered(Layout layout, IReadOnlySet<int>? without)
    {
        var regions = LayoutRegions.Of(layout, without);
        var missing = new List<LogicalRange>();
        for (var tensor = 0; tensor < layout.Tensors.Count; tensor++)
        {
            var bytes = layout.Tensors[tensor].Bytes;
            if (bytes == 0) continue;
            var width = regions.Widths[tensor];
            var whole = new List<Patch>();
            Plane.Add(new LayoutRun(tensor, 0, 0, bytes), width, whole);
            var rest = whole.ConvertAll(patch => patch.Block);
            foreach (var region in regions.Tensors[tensor]) rest = Without(rest, region.Block);
            Describe(layout.Tensors[tensor].Name, rest, width, missing);
        }
        return missing;
    }

    /// <summary>The blocks less one more block.</summary>
    public static List<Block> Without(List<Block> blocks, Block hole)
    {
        var left = new List<Block>();
        foreach (var block in blocks)
            if (block.Overlaps(hole)) block.Around(block.Common(hole), left);
            else left.Add(block);
        return left;
    }

    /// <summary>Adds blocks as logical ranges, row by row where they are narrower than a row.</summary>
    public static void Describe(string tensor, List<Block> blocks, long width, List<LogicalRange> ranges)
    {
        var found = new List<(long Offset, long Length)>();
        foreach (var block in blocks)
        {
            if (block.Columns == width) found.Add((block.Row * width, block.Area));
            else
                for (var row = block.Row; row < block.EndRow; row++) found.Add((row * width + block.Column, block.Columns));
        }
        found.Sort();
        foreach (var (offset, length) in found)
        {
            if (ranges.Count > 0 && ranges[^1] is var last && last.Tensor == tensor && last.Offset + last.Length == offset) ranges[^1] = last with { Length = last.Length + length };
            else ranges.Add(new(tensor, offset, length));
        }
    }

    private static void Refuse(Layout layout, int rank, RankBuffer buffer, LayoutRun run)
    {
        if (run.Tensor < 0 || run.Tensor >= layout.Tensors.Count) throw PerennialException.Usage($"rank {rank}: a run of tensor number {run.Tensor}; there are {layout.Tensors.Count}");
        var tensor = layout.Tensors[run.Tensor];
        var ordered = run.Length > 0 && run.Count > 0 && (run.Count == 1 || (run.LogicalStride >= run.Length && run.LocalStride >= run.Length));
        if (!ordered || run.Logical < 0 || run.Local < 0 || Reach(run.Logical, run.LogicalStride, run) > tensor.Bytes || Reach(run.Local, run.LocalStride, run) > buffer.Bytes)
            throw PerennialException.Usage($"rank {rank}: a run of tensor '{tensor.Name}' reaches outside its tensor of {tensor.Bytes} bytes or its buffer of {buffer.Bytes}: {run}");
        var element = tensor.ElementBytes;
        if (run.Logical % element != 0 || run.Length % element != 0 || run.LogicalStride % element != 0)
            throw PerennialException.Usage($"rank {rank}: a run of tensor '{tensor.Name}' cuts an element in two: {run}");
    }

    private static Int128 Reach(long start, long stride, LayoutRun run) => (Int128)start + (Int128)(run.Count - 1) * stride + run.Length;

    /// <summary>The tensor of a run that lies on another's local bytes, or null.</summary>
    private static int? LocalClash(RankBuffer buffer)
    {
        // Runs come by their first byte. Runs whose extents overlap (columns of one fused matrix) are compared as rectangles.
        var cluster = new List<LayoutRun>();
        long end = 0;
        foreach (var run in buffer.Runs)
        {
            if (run.Local >= end)
            {
                if (Clashes(cluster)) return cluster[0].Tensor;
                cluster.Clear();
            }
            cluster.Add(run);
            end = Math.Max(end, run.LocalEnd);
        }
        return Clashes(cluster) ? cluster[0].Tensor : null;
    }

    private static bool Clashes(List<LayoutRun> cluster)
    {
        if (cluster.Count < 2) return false;
        // Seen from the buffer: local offsets take the part of logical ones.
        var turned = cluster.ConvertAll(run => run with { Logical = run.Local - cluster[0].Local, LogicalStride = run.LocalStride });
        var width = Plane.Width(turned.Max(run => run.LogicalEnd), turned);
        var patches = new List<Patch>();
        foreach (var run in turned) Plane.Add(run, width, patches);
        return Plane.Clash(patches.ConvertAll(patch => patch.Block)) is not null;
    }
}
