using System.Runtime.ExceptionServices;

namespace Perennial.Resilience.Universal;

/// <summary>Work on several files at once.</summary>
internal static class Concurrent
{
    /// <summary>Files at once: more than small machines have processors, for some wait for the disk.</summary>
    public const int Files = 4;

    /// <summary>Calls <paramref name="body"/> for 0 … <paramref name="count"/> − 1; what one throws is thrown here as it was.</summary>
    public static void For(int count, int atOnce, Action<int> body)
    {
        try
        {
            Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = atOnce }, body);
        }
        catch (AggregateException several)
        {
            ExceptionDispatchInfo.Throw(several.InnerExceptions[0]);
        }
    }
}
