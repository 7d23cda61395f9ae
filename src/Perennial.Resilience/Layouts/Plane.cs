namespace Perennial.Resilience.Layouts;

/// <summary>A rectangle of a tensor's bytes, seen as rows of one width.</summary>
internal readonly record struct Block(long Row, long Column, long Rows, long Columns)
{
    public long Area => Rows * Columns;

    public long EndRow => Row + Rows;

    public long EndColumn => Column + Columns;

    public bool Overlaps(Block other) => Row < other.EndRow && other.Row < EndRow && Column < other.EndColumn && other.Column < EndColumn;

    /// <summary>The common part of two blocks that overlap.</summary>
    public Block Common(Block other)
    {
        long row = Math.Max(Row, other.Row), column = Math.Max(Column, other.Column);
        return new(row, column, Math.Min(EndRow, other.EndRow) - row, Math.Min(EndColumn, other.EndColumn) - column);
    }

    /// <summary>Adds what of this block lies outside <paramref name="hole"/>, which lies inside it: above, below, left, right.</summary>
    public void Around(Block hole, List<Block> rest)
    {
        if (hole.Row > Row) rest.Add(new(Row, Column, hole.Row - Row, Columns));
        if (hole.Column > Column) rest.Add(new(hole.Row, Column, hole.Rows, hole.Column - Column));
        if (hole.EndColumn < EndColumn) rest.Add(new(hole.Row, hole.EndColumn, hole.Rows, EndColumn - hole.EndColumn));
        if (hole.EndRow < EndRow) rest.Add(new(hole.EndRow, Column, EndRow - hole.EndRow, Columns));
    }
}

/// <summary>A block and where a buffer has it: row after row at <paramref name="Stride"/>.</summary>
internal readonly record struct Patch(Block Block, long Local, long Stride)
{
    /// <summary>The part of this patch that is <paramref name="inner"/>.</summary>
    public Patch At(Block inner) => new(inner, Local + (inner.Row - Block.Row) * Stride + (inner.Column - Block.Column), Stride);
}

/// <summary>
/// The view under which runs become rectangles: the tensor as rows of one width. With the stride of its shards as the width,
/// a shard along that dimension is one rectangle and a contiguous run is at most three, so that overlaps are found without
/// going through rows.
/// </summary>
internal static class Plane
{
    /// <summary>The width for a tensor: the smallest stride among its runs, or the whole tensor where no run has one.</summary>
    public static long Width(long tensorBytes, IEnumerable<LayoutRun> runs)
    {
        var width = Math.Max(1, tensorBytes);
        foreach (var run in runs)
            if (run.Count > 1 && run.LogicalStride < width) width = run.LogicalStride;
        return width;
    }

    /// <summary>Adds the patches of a run in logical coordinates.</summary>
    public static void Add(LayoutRun run, long width, List<Patch> patches)
    {
        if (run.Count == 1) Contiguous(run.Logical, run.Local, run.Length, width, patches);
        else if (run.LogicalStride == width && run.Logical % width + run.Length <= width)
            patches.Add(new(new(run.Logical / width, run.Logical % width, run.Count, run.Length), run.Local, run.LocalStride));
        else
            for (long i = 0; i < run.Count; i++)
                Contiguous(run.Logical + i * run.LogicalStride, run.Local + i * run.LocalStride, run.Length, width, patches);
    }

    /// <summary>The first overlapping pair, or null.</summary>
    public static (Block, Block)? Clash(List<Block> blocks)
    {
        blocks.Sort(static (a, b) => a.Row != b.Row ? a.Row.CompareTo(b.Row) : a.Column.CompareTo(b.Column));
        for (var i = 0; i < blocks.Count; i++)
            for (var j = i + 1; j < blocks.Count && blocks[j].Row < blocks[i].EndRow; j++)
            {
                // Within one row blocks come by column: the first that begins behind this one ends the search.
                if (blocks[i].Rows == 1 && blocks[j].Column >= blocks[i].EndColumn) break;
                if (blocks[i].Overlaps(blocks[j])) return (blocks[i], blocks[j]);
            }
        return null;
    }

    private static void Contiguous(long logical, long local, long length, long width, List<Patch> patches)
    {
        if (length == 0) return;
        var column = logical % width;
        if (column != 0 || length < width)
        {
            var head = Math.Min(length, width - column);
            patches.Add(new(new(logical / width, column, 1, head), local, width));
            (logical, local, length) = (logical + head, local + head, length - head);
        }
        var rows = length / width;
        if (rows > 0)
        {
            patches.Add(new(new(logical / width, 0, rows, width), local, width));
            (logical, local, length) = (logical + rows * width, local + rows * width, length - rows * width);
        }
        if (length > 0) patches.Add(new(new(logical / width, 0, 1, length), local, width));
    }
}
