using System.Globalization;

namespace Perennial.Resilience.Snapshots;

/// <summary>How many processes the kernel has killed for want of memory, where it tells: so that a manager's death can be explained.</summary>
internal static class OutOfMemoryKills
{
    private static readonly string[] Sources = ["/sys/fs/cgroup/memory.events", "/proc/vmstat"];

    /// <summary>The counter's present value; 0 where there is none.</summary>
    public static long Count() => Sources.Sum(Count);

    internal static long Count(string path)
    {
        const string Key = "oom_kill ";
        try
        {
            var line = File.Exists(path) ? File.ReadLines(path).FirstOrDefault(line => line.StartsWith(Key, StringComparison.Ordinal)) : null;
            return line is not null && long.TryParse(line.AsSpan(Key.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var count) ? count : 0;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }
}
