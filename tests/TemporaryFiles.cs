using System.Runtime.CompilerServices;

namespace Perennial.Testing;

/// <summary>
/// Temporary files of the tests, and of the processes that they start, lie in memory where there is plenty of it (Linux): thousands of flushes to a
/// disk are most of the time of some tests. A <c>TMPDIR</c> that is set stays.
/// </summary>
internal static class TemporaryFiles
{
    private const string Memory = "/dev/shm";
    private const long Plenty = 4L << 30;

    [ModuleInitializer]
    internal static void ToMemory()
    {
        if (OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable("TMPDIR") is null && Directory.Exists(Memory) && new DriveInfo(Memory).AvailableFreeSpace > Plenty)
            Environment.SetEnvironmentVariable("TMPDIR", Memory);
        // A process that is killed leaves its diagnostic pipes there for good.
        if (Environment.GetEnvironmentVariable("DOTNET_EnableDiagnostics") is null) Environment.SetEnvironmentVariable("DOTNET_EnableDiagnostics", "0");
    }
}
