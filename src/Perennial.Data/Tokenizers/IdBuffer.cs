using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Perennial.Data.Tokenizers;

/// <summary>Appends to a list of ids through a span of its own memory; <see cref="Complete"/> gives the list its true length.</summary>
internal ref struct IdBuffer(List<int> ids)
{
    private const int Step = 4096;
    private Span<int> room = CollectionsMarshal.AsSpan(ids);
    private int count = ids.Count;

    /// <summary>Free room for at least so many ids.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<int> Free(int least)
    {
        if (room.Length - count < least) Grow(least);
        return room[count..];
    }

    /// <summary>Counts ids that were written to <see cref="Free"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Advance(int written) => count += written;

    /// <summary>Ends appending.</summary>
    public readonly void Complete() => CollectionsMarshal.SetCount(ids, count);

    private void Grow(int least)
    {
        CollectionsMarshal.SetCount(ids, Math.Max(count + Math.Max(least, Step), Math.Min(ids.Capacity, count + (1 << 20))));
        room = CollectionsMarshal.AsSpan(ids);
    }
}
