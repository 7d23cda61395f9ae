using System.Runtime.ExceptionServices;

namespace Perennial.Resilience.Universal;

/// <summary>Work on several files at once, on threads of its own: it waits for the disk, which the pool's few must not.</summary>
internal static class Concurrent
{
    /// <summary>Files at once: more than small machines have processors, for some wait for the disk.</summary>
    public const int Files = 4;

    /// <summary>Calls <paramref name="body"/> for 0 … <paramref name="count"/> − 1, in any order; what one throws first is thrown here as it was, and no further one begins.</summary>
    public static void For(int count, int atOnce, Action<int> body)
    {
        var next = -1;
        ExceptionDispatchInfo? failure = null;
        var others = Enumerable.Range(1, Math.Max(0, Math.Min(atOnce, count) - 1)).Select(_ => new Thread(Work) { IsBackground = true }).ToList();
        foreach (var thread in others) thread.Start();
        Work();
        foreach (var thread in others) thread.Join();
        failure?.Throw();

        void Work()
        {
            try
            {
                for (int index; Volatile.Read(ref failure) is null && (index = Interlocked.Increment(ref next)) < count;) body(index);
            }
            catch (Exception thrown)
            {
                Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(thrown), null);
            }
        }
    }
}
