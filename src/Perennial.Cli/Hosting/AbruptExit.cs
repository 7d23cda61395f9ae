using System.Runtime.InteropServices;

namespace Perennial.Cli.Hosting;

/// <summary>
/// Ends the process without running what native libraries have for its end: their threads may be at work, and tearing their state down under
/// them crashes.
/// </summary>
internal static partial class AbruptExit
{
    /// <summary>Ends the process; what was written to streams and not flushed is lost.</summary>
    public static void With(int code)
    {
        if (OperatingSystem.IsWindows()) Environment.Exit(code);
        Exit(code);
    }

    [LibraryImport("libc", EntryPoint = "_exit")]
    private static partial void Exit(int code);
}
