namespace Perennial.Resilience.Layouts;

/// <summary>
/// <paramref name="Count"/> blocks of <paramref name="Length"/> bytes of one logical tensor, and where they lie in a rank's flat
/// buffer (paper 47, part 5). One run describes a shard along any dimension. All offsets are bytes.
/// </summary>
/// <param name="Tensor">Index of the tensor in the layout.</param>
/// <param name="Logical">First byte in the logical tensor.</param>
/// <param name="Local">First byte in the rank's buffer.</param>
/// <param name="Length">Bytes of one block.</param>
/// <param name="Count">Blocks.</param>
/// <param name="LogicalStride">From one block to the next in the tensor; 0 for one block.</param>
/// <param name="LocalStride">From one block to the next in the buffer; 0 for one block.</param>
/// <param name="Replica">Whether this is a copy whose owner is another rank (a tied weight on the last stage): it never writes checkpoints.</param>
public readonly record struct LayoutRun(int Tensor, long Logical, long Local, long Length, long Count = 1, long LogicalStride = 0, long LocalStride = 0, bool Replica = false)
{
    /// <summary>Bytes that the run holds.</summary>
    public long Bytes => Length * Count;

    /// <summary>One past the last byte in the tensor.</summary>
    public long LogicalEnd => Logical + (Count - 1) * LogicalStride + Length;

    /// <summary>One past the last byte in the buffer.</summary>
    public long LocalEnd => Local + (Count - 1) * LocalStride + Length;

    /// <summary>The same bytes in their simplest form: one block has no strides, blocks without gaps are one block.</summary>
    public LayoutRun Normal() =>
        Count == 1 ? this with { LogicalStride = 0, LocalStride = 0 } :
        LogicalStride == Length && LocalStride == Length ? this with { Length = Bytes, Count = 1, LogicalStride = 0, LocalStride = 0 } : this;

    /// <summary>What lies in the window [<paramref name="from"/>, <paramref name="to"/>) of the buffer, with the window's start as the new zero: at most three runs.</summary>
    public IEnumerable<LayoutRun> Window(long from, long to)
    {
        if (Count == 1)
        {
            if (Block(0, from, to) is { Length: > 0 } only) yield return only;
            yield break;
        }
        // Blocks first..last touch the window; those between the ends are whole.
        var first = from <= Local ? 0 : Math.Min(Count, (from - Local) / LocalStride);
        var last = to <= Local ? -1 : Math.Min(Count - 1, (to - 1 - Local) / LocalStride);
        if (first <= last && Block(first, from, to) is var head && head.Length < Length)
        {
            if (head.Length > 0) yield return head;
            first++;
        }
        LayoutRun? tail = null;
        if (first <= last && Block(last, from, to) is var end && end.Length < Length)
        {
            if (end.Length > 0) tail = end;
            last--;
        }
        if (first <= last)
            yield return (this with { Logical = Logical + first * LogicalStride, Local = Local + first * LocalStride - from, Count = last - first + 1 }).Normal();
        if (tail is { } rest) yield return rest;
    }

    private LayoutRun Block(long index, long from, long to)
    {
        var local = Local + index * LocalStride;
        var start = Math.Max(local, from);
        var length = Math.Max(0, Math.Min(local + Length, to) - start);
        return this with { Logical = Logical + index * LogicalStride + (start - local), Local = start - from, Length = length, Count = 1, LogicalStride = 0, LocalStride = 0 };
    }
}
