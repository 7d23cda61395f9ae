using Perennial.Resilience.Layouts;

namespace Perennial.Resilience.Plans;

/// <summary>
/// Shares work over ranks that hold the same bytes: small pieces go to the rank with the least so far, large pieces are poured
/// over all of them until their loads are level. Depends on the order of calls and nothing else.
/// </summary>
internal sealed class SourceBalance(int ranks)
{
    // A piece below this is not worth two messages.
    private const long Divisible = 256 * 1024;

    // Cuts within one row keep to multiples of this, so that elements stay whole and copies aligned.
    private const long Grain = 4096;

    private readonly long[] loads = new long[ranks];
    private readonly List<(Holder Holder, long Share)> order = [];

    /// <summary>Bytes given to each rank so far.</summary>
    public IReadOnlyList<long> Loads => loads;

    /// <summary>Adds the parts of <paramref name="block"/> with the holder that serves each.</summary>
    public void Share(Block block, IReadOnlyList<Holder> holders, List<(Block Part, Holder Holder)> parts)
    {
        var bytes = block.Area;
        if (holders.Count == 1 || bytes < Divisible)
        {
            var least = holders[0];
            foreach (var holder in holders)
                if (loads[holder.Rank] < loads[least.Rank]) least = holder;
            Give(block, least, parts);
            return;
        }
        Level(bytes, holders);
        // Whole rows where there are rows, grains of one row where there is one.
        var (length, unit, area) = block.Rows > 1 ? (block.Rows, 1L, block.Columns) : (block.Columns, Grain, 1L);
        long done = 0;
        for (var i = 0; i < order.Count && done < length; i++)
        {
            var take = i == order.Count - 1 ? length - done : Math.Min(length - done, (order[i].Share / area + unit - 1) / unit * unit);
            if (take <= 0) continue;
            var part = block.Rows > 1 ? block with { Row = block.Row + done, Rows = take } : block with { Column = block.Column + done, Columns = take };
            Give(part, order[i].Holder, parts);
            done += take;
        }
    }

    /// <summary>Fills <c>order</c> with the holders by load and what each gets so that the loads become level from below.</summary>
    private void Level(long bytes, IReadOnlyList<Holder> holders)
    {
        var sorted = holders.OrderBy(holder => loads[holder.Rank]).ThenBy(holder => holder.Rank).ToList();
        var count = 1;
        long below = 0;
        while (count < sorted.Count)
        {
            var step = (loads[sorted[count].Rank] - loads[sorted[count - 1].Rank]) * count;
            if (below + step >= bytes) break;
            below += step;
            count++;
        }
        var level = loads[sorted[count - 1].Rank] + (bytes - below) / count;
        order.Clear();
        for (var i = 0; i < count; i++) order.Add((sorted[i], level - loads[sorted[i].Rank]));
    }

    private void Give(Block part, Holder holder, List<(Block Part, Holder Holder)> parts)
    {
        loads[holder.Rank] += part.Area;
        parts.Add((part, holder with { Patch = holder.Patch.At(part) }));
    }
}
