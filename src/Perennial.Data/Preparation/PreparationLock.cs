namespace Perennial.Data.Preparation;

/// <summary>Lets one process prepare a folder while others wait for it. The lock falls with the process; its file stays, as deleting it would let two in.</summary>
internal static class PreparationLock
{
    public static FileStream Take(string path, Action<string>? notify, CancellationToken cancellation)
    {
        for (var waited = false; ; waited = true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1);
            }
            catch (IOException error) when (error is not (PathTooLongException or DirectoryNotFoundException) && File.Exists(path))
            {
                if (!waited) notify?.Invoke("another process is preparing the same data; waiting for it");
                cancellation.WaitHandle.WaitOne(200);
                cancellation.ThrowIfCancellationRequested();
            }
        }
    }
}
