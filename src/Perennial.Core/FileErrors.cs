namespace Perennial.Core;

/// <summary>What a disk or its limits can do to a write.</summary>
public static class FileErrors
{
    /// <summary>
    /// Whether an exception says that a file could not be read or written: no room, no right, or a limit on file sizes (quota, <c>ulimit -f</c>), which
    /// .NET tells as an argument out of range.
    /// </summary>
    public static bool Is(Exception error) => error is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException { ParamName: "value" };
}
