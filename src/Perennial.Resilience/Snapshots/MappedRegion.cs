using System.IO.MemoryMappedFiles;

namespace Perennial.Resilience.Snapshots;

/// <summary>A file mapped whole into memory, shared with every process that maps it.</summary>
internal sealed unsafe class MappedRegion : IDisposable
{
    private readonly MemoryMappedFile file;
    private readonly MemoryMappedViewAccessor view;
    private readonly byte* start;

    private MappedRegion(string path, long bytes, FileStream stream)
    {
        (Path, Bytes) = (path, bytes);
        file = MemoryMappedFile.CreateFromFile(stream, null, bytes, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, leaveOpen: false);
        view = file.CreateViewAccessor(0, bytes);
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
    }

    public string Path { get; }

    public long Bytes { get; }

    public byte* Start => start;

    /// <summary>
    /// A new file of zeros. A file of that name goes out of its folder but stays with those who have it mapped: so a fenced writer writes
    /// where nobody reads. All memory is taken now, so that a lack of it shows here and not as a fault in the middle of a run.
    /// </summary>
    /// <exception cref="IOException">Not enough room.</exception>
    public static MappedRegion Create(string path, long bytes)
    {
        File.Delete(path);
        var options = new FileStreamOptions
        {
            Mode = FileMode.CreateNew, Access = FileAccess.ReadWrite, Share = FileShare.ReadWrite | FileShare.Delete, BufferSize = 0, PreallocationSize = bytes,
        };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        var stream = new FileStream(path, options);
        stream.SetLength(bytes);
        return new(path, bytes, stream);
    }

    /// <summary>An existing file.</summary>
    /// <exception cref="IOException">It is missing, empty or cannot be opened.</exception>
    public static MappedRegion Open(string path)
    {
        var stream = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete, 0);
        if (stream.Length > 0) return new(path, stream.Length, stream);
        stream.Dispose();
        throw new IOException($"{path} is empty");
    }

    public void Dispose()
    {
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        file.Dispose();
    }
}
