namespace Perennial.Core.Safetensors;

/// <summary>A tensor to be written: its description and where its bytes lie. The bytes stay the caller's and must not change or vanish while they are written.</summary>
public sealed class SafetensorsTensor
{
    private readonly nint pointer;
    private readonly ReadOnlyMemory<byte> memory;

    private SafetensorsTensor(string name, SafetensorsType type, IReadOnlyList<long> shape, nint pointer, ReadOnlyMemory<byte> memory)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (name == SafetensorsHeader.MetadataKey) throw new ArgumentException($"'{name}' names the metadata, not a tensor", nameof(name));
        (Name, Type, Shape, this.pointer, this.memory) = (name, type, shape, pointer, memory);
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

    /// <summary>A part of the bytes.</summary>
    internal unsafe ReadOnlySpan<byte> Part(long from, int length) =>
        pointer != 0 ? new ReadOnlySpan<byte>((byte*)pointer + from, length) : memory.Span.Slice((int)from, length);
}
