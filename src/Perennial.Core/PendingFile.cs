namespace Perennial.Core;

/// <summary>
/// A file under its temporary name (<see cref="AtomicFile.TemporarySuffix"/>). Several can be written and read back before one commit brings all to the
/// disk: the disk works meanwhile, and nobody waits for one file after another. What is not committed is gone with its disposal.
/// </summary>
public sealed class PendingFile : IDisposable
{
    private readonly string path;
    private readonly FileStream stream;
    private bool committed;

    /// <summary>Creates the temporary file.</summary>
    /// <param name="path">Replaced if it exists, at the commit.</param>
    /// <param name="share"><see cref="FileShare.Read"/> to read it back before the commit.</param>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public PendingFile(string path, FileShare share)
    {
        this.path = path;
        stream = new FileStream(Temporary, FileMode.Create, FileAccess.Write, share, 1 << 16);
    }

    /// <summary>The file's name after the commit, without its folder.</summary>
    public string Name => Path.GetFileName(path);

    /// <summary>Where it is until the commit.</summary>
    public string Temporary => path + AtomicFile.TemporarySuffix;

    /// <summary>Writes through <paramref name="write"/>; whoever opens <see cref="Temporary"/> then finds all of it.</summary>
    /// <exception cref="IOException">The disk is full, or a limit on file sizes is reached.</exception>
    public void Write(Action<FileStream> write)
    {
        ArgumentNullException.ThrowIfNull(write);
        Telling(() =>
        {
            write(stream);
            stream.Flush();
        });
    }

    /// <summary>Brings files to the disk, then gives them their names: all or, if one cannot be flushed, none.</summary>
    /// <exception cref="IOException">The disk is full or the folder cannot be written.</exception>
    public static void Commit(IReadOnlyList<PendingFile> files)
    {
        ArgumentNullException.ThrowIfNull(files);
        foreach (var file in files) file.Telling(() => file.stream.Flush(flushToDisk: true));
        foreach (var file in files)
        {
            file.stream.Dispose();
            File.Move(file.Temporary, file.path, overwrite: true);
            file.committed = true;
        }
        foreach (var folder in files.Select(file => Path.GetDirectoryName(Path.GetFullPath(file.path))!).Distinct()) AtomicFile.FlushFolder(folder);
    }

    /// <summary>Closes it, and removes it if it was not committed.</summary>
    public void Dispose()
    {
        // On a full disk closing fails too, for what is left in the stream's buffer.
        Quietly(stream.Dispose);
        if (!committed) Quietly(() => File.Delete(Temporary));
    }

    // The first error is the one to tell.
    private static void Quietly(Action body)
    {
        try
        {
            body();
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException)
        {
        }
    }

    private void Telling(Action body)
    {
        try
        {
            body();
        }
        catch (ArgumentOutOfRangeException tooLarge)
        {
            // What .NET makes of EFBIG: a limit on file sizes (quota, ulimit -f) was reached.
            throw new IOException($"{path}: {tooLarge.Message}", tooLarge);
        }
    }
}
