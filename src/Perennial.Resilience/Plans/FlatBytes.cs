namespace Perennial.Resilience.Plans;

/// <summary>A rank's flat buffer, in managed or native memory. The memory stays the caller's.</summary>
public readonly unsafe struct FlatBytes
{
    private readonly Memory<byte> memory;
    private readonly nint pointer;

    private FlatBytes(Memory<byte> memory, nint pointer, long length) => (this.memory, this.pointer, Length) = (memory, pointer, length);

    /// <summary>Bytes.</summary>
    public long Length { get; }

    /// <summary>A buffer in managed memory.</summary>
    public static FlatBytes Of(Memory<byte> memory) => new(memory, 0, memory.Length);

    /// <summary>A buffer in native memory (a flat tensor's data).</summary>
    /// <exception cref="ArgumentException">A null pointer with a length.</exception>
    public static FlatBytes At(nint pointer, long length) => pointer != 0 || length == 0 ? new(default, pointer, length) : throw new ArgumentException("null pointer", nameof(pointer));

    /// <summary>A part of it; at most 2 GiB.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the buffer.</exception>
    public Span<byte> Slice(long offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length - length);
        return pointer != 0 ? new Span<byte>((byte*)pointer + offset, length) : memory.Span.Slice((int)offset, length);
    }

    /// <summary>Fills the buffer with zeros.</summary>
    public void Clear()
    {
        for (long at = 0; at < Length; at += Piece) Slice(at, (int)Math.Min(Piece, Length - at)).Clear();
    }

    internal const int Piece = 1 << 26;
}
