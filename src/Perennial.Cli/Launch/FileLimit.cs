using System.Runtime.InteropServices;

namespace Perennial.Cli.Launch;

/// <summary>The limit on another process's file sizes: what a full disk is played with.</summary>
internal static partial class FileLimit
{
    private const int FileSize = 1;

    /// <summary>Makes every write of a process beyond so many bytes of a file fail; null lets it write again.</summary>
    public static void Set(int process, ulong? bytes)
    {
        if (!OperatingSystem.IsLinux()) throw new PlatformNotSupportedException("file limits of another process are known on Linux only");
        _ = LimitProcess(process, FileSize, new Limit(bytes ?? ulong.MaxValue, ulong.MaxValue), 0);
    }

    private readonly record struct Limit(ulong Soft, ulong Hard);

    [LibraryImport("libc", EntryPoint = "prlimit")]
    private static partial int LimitProcess(int process, int resource, in Limit limit, nint old);
}
