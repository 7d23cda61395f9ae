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
    /// <exception cref="PerennialException">Exit 2: another process has it.</exception>
    public static RunLock Take(string folder)
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
            throw PerennialException.Usage($"{folder}: another process is training in this run folder; stop it first, or choose another folder with --run", error);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();
}
