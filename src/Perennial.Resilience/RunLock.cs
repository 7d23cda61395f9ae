using System.Globalization;
using System.Text;
using Perennial.Core;

namespace Perennial.Resilience;

/// <summary>Keeps a second process off a run folder. The system drops the lock with the process, however it dies.</summary>
public sealed class RunLock : IDisposable
{
    private const string FileName = ".lock";
    private readonly FileStream file;

    private RunLock(FileStream file) => this.file = file;

    /// <summary>Takes the lock of a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="busy">What to say where another process has it, with the cure.</param>
    /// <exception cref="PerennialException">Exit 2: another process has it.</exception>
    public static RunLock Take(string folder, string busy = "another process is training in this run folder; stop it first, or choose another folder with --run")
    {
        var path = Path.Combine(folder, FileName);
        try
        {
            var file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1);
            file.SetLength(0);
            file.Write(Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture)));
            file.Flush();
            return new RunLock(file);
        }
        catch (IOException error) when (File.Exists(path))
        {
            throw PerennialException.Usage($"{folder}: {busy}", error);
        }
    }

    /// <summary>Removes everything else from the folder.</summary>
    public void Clear()
    {
        foreach (var entry in new DirectoryInfo(Path.GetDirectoryName(file.Name)!).EnumerateFileSystemInfos().Where(entry => entry.Name != FileName).ToList())
        {
            if (entry is DirectoryInfo folder) folder.Delete(recursive: true);
            else entry.Delete();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();
}
