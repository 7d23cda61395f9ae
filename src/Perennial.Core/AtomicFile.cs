using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Perennial.Core;

/// <summary>Files that are either whole or absent: written under a temporary name, flushed to disk, then renamed.</summary>
public static partial class AtomicFile
{
    /// <summary>The ending of files not yet whole; a reader ignores them, a cleaner may delete them.</summary>
    public const string TemporarySuffix = ".partial";

    /// <summary>Writes a file through <paramref name="write"/>; on any failure the old file (if any) stands and the temporary one is removed.</summary>
    /// <exception cref="IOException">The disk is full or the folder cannot be written.</exception>
    public static void Write(string path, Action<FileStream> write)
    {
        using var file = new PendingFile(path, FileShare.None);
        file.Write(write);
        PendingFile.Commit([file]);
    }

    /// <summary>Writes UTF-8 text without a byte-order mark.</summary>
    /// <exception cref="IOException">The disk is full or the folder cannot be written.</exception>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));

    /// <summary>Makes a folder's entries (renames, new files) durable. Does nothing where the system has no such call.</summary>
    public static void FlushFolder(string folder)
    {
        if (OperatingSystem.IsWindows()) return;
        var descriptor = Open(folder, 0);
        if (descriptor < 0) return;
        _ = Fsync(descriptor);
        _ = Close(descriptor);
    }

    /// <summary>
    /// Has the system begin to write a stretch to the disk, so that the flush at the end finds little left; a large file is then written while it is
    /// made, not after. Does nothing where the system has no such call.
    /// </summary>
    /// <param name="stream">The file.</param>
    /// <param name="from">First byte.</param>
    /// <param name="bytes">How many.</param>
    public static void BeginWriteBack(FileStream stream, long from, long bytes)
    {
        ArgumentNullException.ThrowIfNull(stream);
        const uint Write = 2;
        // A hint: where it fails, the flush does all of the work and tells what is wrong.
        if (OperatingSystem.IsLinux()) _ = SyncFileRange(stream.SafeFileHandle, from, bytes, Write);
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "sync_file_range")]
    private static partial int SyncFileRange(SafeFileHandle file, long offset, long bytes, uint flags);

    [LibraryImport("libc", EntryPoint = "fsync")]
    private static partial int Fsync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int descriptor);
}
