namespace Perennial.Core.Safetensors;

/// <summary>Makes the bytes of a tensor that begin at byte <paramref name="from"/>, as many as the destination holds. Asked in order; parts begin and end at whole elements.</summary>
public delegate void SafetensorsFill(long from, Span<byte> destination);

/// <summary>A tensor to be written: its description and where its bytes lie. The bytes stay the caller's and must not change or vanish while they are written.</summary>
public sealed class SafetensorsTensor
{
    private readonly nint pointer;
    private readonly ReadOnlyMemory<byte> memory;
    private readonly SafetensorsFill? fill;

    private SafetensorsTensor(string name, SafetensorsType type, IReadOnlyList<long> shape, nint pointer, ReadOnlyMemory<byte> memory, SafetensorsFill? fill = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (name == SafetensorsHeader.MetadataKey) throw new ArgumentException($"'{name}' names the metadata, not a tensor", nameof(name));
        (Name, Type, Shape, this.pointer, this.memory, this.fill) = (name, type, shape, pointer, memory, fill);
        ByteLength = type.Bytes(shape) ?? throw new ArgumentException($"impossible shape [{string.Join(", ", shape)}]", nameof(shape));
    }

    /// <summary>Unique in the file.</summary>
    public string Name { get; }

    /// <summary>Element type.</summary>
    public SafetensorsType Type { get; }

    /// <summary>Dimensions, outermost first.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>Bytes.</summary>
    public long ByteLength { get; }

    /// <summary>A tensor in native memory, contiguous.</summary>
    /// <exception cref="ArgumentException">The shape is impossible, the name is reserved, or the pointer is null.</exception>
    public static SafetensorsTensor At(string name, SafetensorsType type, IReadOnlyList<long> shape, nint pointer)
    {
        var tensor = new SafetensorsTensor(name, type, shape, pointer, default);
        return pointer != 0 || tensor.ByteLength == 0 ? tensor : throw new ArgumentException("null pointer", nameof(pointer));
    }

    /// <summary>A tensor in managed memory, contiguous, little endian.</summary>
    /// <exception cref="ArgumentException">The shape is impossible, does not fit the bytes, or the name is reserved.</exception>
    public static SafetensorsTensor Of(string name, SafetensorsType type, IReadOnlyList<long> shape, ReadOnlyMemory<byte> bytes)
    {
        var tensor = new SafetensorsTensor(name, type, shape, 0, bytes);
        return tensor.ByteLength == bytes.Length ? tensor : throw new ArgumentException($"{type} [{string.Join(", ", shape)}] has {tensor.ByteLength} bytes, not {bytes.Length}", nameof(bytes));
    }

    /// <summary>A tensor whose bytes are made while they are written, part after part: it never exists as a whole.</summary>
    /// <exception cref="ArgumentException">The shape is impossible or the name is reserved.</exception>
    public static SafetensorsTensor Made(string name, SafetensorsType type, IReadOnlyList<long> shape, SafetensorsFill fill)
    {
        ArgumentNullException.ThrowIfNull(fill);
        return new SafetensorsTensor(name, type, shape, 0, default, fill);
    }

    /// <summary>Whether parts are made, by <see cref="Make"/>; else they lie somewhere.</summary>
    internal bool IsMade => fill is not null;

    /// <summary>Makes a part.</summary>
    internal void Make(long from, Span<byte> destination) => fill!(from, destination);

    /// <summary>A part that lies somewhere.</summary>
    internal unsafe ReadOnlySpan<byte> Lying(long from, int length) =>
        pointer != 0 ? new ReadOnlySpan<byte>((byte*)pointer + from, length) : memory.Span.Slice((int)from, length);
}
