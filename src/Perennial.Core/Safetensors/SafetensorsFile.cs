using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;

namespace Perennial.Core.Safetensors;

/// <summary>
/// A safetensors file, memory-mapped: tensors are read where the system's page cache holds them, without a copy, whatever the file's
/// size. Do not use a span or pointer after disposal, and do not truncate a file while it is open (the system then ends the process);
/// Perennial's own writer never does, it renames.
/// </summary>
public sealed unsafe class SafetensorsFile : IDisposable
{
    private readonly MemoryMappedFile mapping;
    private readonly MemoryMappedViewAccessor view;
    private readonly byte* data;
    private bool disposed;

    private SafetensorsFile(string path, SafetensorsHeader header, MemoryMappedFile mapping, MemoryMappedViewAccessor view, byte* data)
    {
        Path = path;
        Header = header;
        this.mapping = mapping;
        this.view = view;
        this.data = data;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The index.</summary>
    public SafetensorsHeader Header { get; }

    /// <summary>The tensors in the order of their data.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries => Header.Entries;

    /// <summary>What the file says about itself.</summary>
    public IReadOnlyDictionary<string, string> Metadata => Header.Metadata;

    /// <summary>The entry of a name.</summary>
    /// <exception cref="PerennialException">The file has no such tensor (exit 3).</exception>
    public SafetensorsEntry this[string name] => Header.Find(name) ?? throw PerennialException.Damaged($"{Path}: there is no tensor '{name}'");

    /// <summary>Opens and checks a file; only the header is read.</summary>
    /// <exception cref="PerennialException">The file is missing, unreadable, or breaks the format (exit 3).</exception>
    public static SafetensorsFile Open(string path)
    {
        MemoryMappedFile? mapping = null;
        MemoryMappedViewAccessor? view = null;
        var acquired = false;
        try
        {
            // Read-only sharing plus deletion: a writer's rename over an open file is no fault.
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 1);
            var length = stream.Length;
            Span<byte> prefix = stackalloc byte[8];
            if (stream.ReadAtLeast(prefix, 8, throwOnEndOfStream: false) < 8) throw SafetensorsHeader.Damaged(path, $"it has {length} bytes, less than a header's length");
            var headerLength = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
            if (headerLength > SafetensorsHeader.LongestHeader) throw SafetensorsHeader.Damaged(path, $"its header claims {headerLength} bytes, more than the {SafetensorsHeader.LongestHeader} that the format allows");
            if ((long)headerLength > length - 8) throw SafetensorsHeader.Damaged(path, $"its header claims {headerLength} bytes, but the file has {length}");

            mapping = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            view = mapping.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
            byte* start = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            acquired = true;
            start += view.PointerOffset;
            var header = SafetensorsHeader.Parse(new ReadOnlySpan<byte>(start + 8, (int)headerLength), length - 8 - (long)headerLength, path);
            return new SafetensorsFile(path, header, mapping, view, start + 8 + headerLength);
        }
        catch (Exception error)
        {
            if (acquired) view!.SafeMemoryMappedViewHandle.ReleasePointer();
            view?.Dispose();
            mapping?.Dispose();
            if (error is FileNotFoundException or DirectoryNotFoundException) throw PerennialException.Damaged($"{path}: there is no such file", error);
            if (error is IOException or UnauthorizedAccessException) throw PerennialException.Damaged($"{path}: it cannot be read: {error.Message}", error);
            throw;
        }
    }

    /// <summary>The first byte of a tensor; the tensor's bytes follow without a gap. Not necessarily aligned.</summary>
    /// <exception cref="ObjectDisposedException">The file is closed.</exception>
    public nint Pointer(SafetensorsEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        ObjectDisposedException.ThrowIf(disposed, this);
        return (nint)(data + entry.Offset);
    }

    /// <summary>The bytes of a tensor, little endian, row after row.</summary>
    /// <exception cref="ObjectDisposedException">The file is closed.</exception>
    /// <exception cref="ArgumentException">The tensor is larger than 2 GiB; read it in parts.</exception>
    public ReadOnlySpan<byte> Bytes(SafetensorsEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        if (entry.ByteLength > int.MaxValue) throw new ArgumentException($"tensor '{entry.Name}' has {entry.ByteLength} bytes; read it in parts", nameof(entry));
        return Bytes(entry, 0, (int)entry.ByteLength);
    }

    /// <summary>A part of the bytes of a tensor.</summary>
    /// <exception cref="ObjectDisposedException">The file is closed.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The part is not inside the tensor.</exception>
    public ReadOnlySpan<byte> Bytes(SafetensorsEntry entry, long from, int length)
    {
        ArgumentNullException.ThrowIfNull(entry);
        ArgumentOutOfRangeException.ThrowIfNegative(from);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(from, entry.ByteLength - length);
        return new ReadOnlySpan<byte>((byte*)Pointer(entry) + from, length);
    }

    /// <summary>Closes the mapping; spans and pointers into it become invalid.</summary>
    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        mapping.Dispose();
    }
}
