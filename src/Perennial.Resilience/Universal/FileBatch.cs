using Perennial.Core;

namespace Perennial.Resilience.Universal;

/// <summary>Files that are written from several threads and committed many at a time: see <see cref="PendingFile"/>.</summary>
internal sealed class FileBatch : IDisposable
{
    // Bounds the open files; a checkpoint of one file a tensor has thousands.
    private const int Most = 64;

    private readonly Lock guard = new();
    private List<PendingFile> written = [];

    /// <summary>Writes one; when many wait, also commits them.</summary>
    /// <param name="path">Its path after the commit.</param>
    /// <param name="write">Writes it, and may read it back.</param>
    /// <exception cref="IOException">The disk is full or the folder cannot be written.</exception>
    public void Write(string path, Action<PendingFile> write)
    {
        var file = new PendingFile(path, FileShare.Read);
        try
        {
            write(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
        lock (guard)
        {
            written.Add(file);
            if (written.Count < Most) return;
        }
        Commit();
    }

    /// <summary>Commits all that were written.</summary>
    /// <exception cref="IOException">The disk is full or the folder cannot be written.</exception>
    public void Commit()
    {
        List<PendingFile> taken;
        lock (guard) (taken, written) = (written, []);
        try
        {
            PendingFile.Commit(taken);
        }
        finally
        {
            foreach (var file in taken) file.Dispose();
        }
    }

    /// <summary>Removes what was not committed.</summary>
    public void Dispose()
    {
        foreach (var file in written) file.Dispose();
    }
}
