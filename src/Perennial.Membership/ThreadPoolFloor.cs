namespace Perennial.Membership;

/// <summary>
/// Client and server complete their socket calls on the thread pool. With as many blocked pool threads as processors it would answer nothing
/// for seconds (measured: 64 blocked calls took 7 s on two processors), and leases would run out: so the pool may grow at once.
/// </summary>
internal static class ThreadPoolFloor
{
    private const int Threads = 64;

    public static void Raise()
    {
        ThreadPool.GetMinThreads(out var workers, out var completions);
        ThreadPool.SetMinThreads(Math.Max(workers, Threads), Math.Max(completions, Threads));
    }
}
