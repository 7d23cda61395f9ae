using Perennial.Resilience.Groups;

namespace Perennial.Training.Tests;

/// <summary>A process that died, as its own thread sees it.</summary>
public sealed class SimulatedDeathException : Exception;

/// <summary>A rank whose process dies in an all-reduce: without a word, as by SIGKILL.</summary>
/// <param name="inner">The rank.</param>
/// <param name="dies">Whether it dies in its n-th.</param>
internal sealed class DyingCommunicator(ThreadCommunicator inner, Func<int, bool> dies) : ICommunicator
{
    private int calls;

    public DyingCommunicator(ThreadCommunicator inner, int at)
        : this(inner, call => call == at)
    {
    }

    /// <summary>Whether it may die in its sub-groups too, whose calls are counted by themselves.</summary>
    public bool InChildren { get; init; }

    public int Rank => inner.Rank;

    public int Size => inner.Size;

    public long Epoch => inner.Epoch;

    public void AllReduce(nint data, long count, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default)
    {
        if (dies(++calls))
        {
            inner.Kill();
            throw new SimulatedDeathException();
        }
        inner.AllReduce(data, count, type, reduction, options);
    }

    public void ReduceScatter(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default) => inner.ReduceScatter(source, destination, counts, type, reduction, options);

    public void AllGather(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, CallOptions options = default) => inner.AllGather(source, destination, counts, type, options);

    public void Broadcast(nint data, long count, ElementType type, int root, CallOptions options = default) => inner.Broadcast(data, count, type, root, options);

    public void Send(nint data, long count, ElementType type, int to, CallOptions options = default) => inner.Send(data, count, type, to, options);

    public void Receive(nint data, long count, ElementType type, int from, CallOptions options = default) => inner.Receive(data, count, type, from, options);

    public void Barrier(CallOptions options = default) => inner.Barrier(options);

    public ICommunicator? Split(int color, int key, CallOptions options = default) =>
        inner.Split(color, key, options) is var child && InChildren && child is ThreadCommunicator group ? new DyingCommunicator(group, dies) { InChildren = true } : child;

    public void Abort(string reason) => inner.Abort(reason);

    public void Dispose() => inner.Dispose();
}
