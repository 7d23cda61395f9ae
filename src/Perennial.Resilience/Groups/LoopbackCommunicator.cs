namespace Perennial.Resilience.Groups;

/// <summary>The group of one: every collective is a copy or nothing. Lets one code path serve one process and many.</summary>
/// <param name="epoch">The epoch of membership.</param>
public sealed unsafe class LoopbackCommunicator(long epoch = 0) : ICommunicator
{
    private volatile string? broken;

    /// <inheritdoc/>
    public int Rank => 0;

    /// <inheritdoc/>
    public int Size => 1;

    /// <inheritdoc/>
    public long Epoch { get; } = epoch;

    /// <inheritdoc/>
    public void AllReduce(nint data, long count, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default)
    {
        Arguments.Reduces(type, reduction);
        Check("all-reduce", options);
    }

    /// <inheritdoc/>
    public void ReduceScatter(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default)
    {
        Arguments.Counts(this, counts);
        Arguments.Reduces(type, reduction);
        Check("reduce-scatter", options);
        Copy(source, destination, counts[0] * type.Size());
    }

    /// <inheritdoc/>
    public void AllGather(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, CallOptions options = default)
    {
        Arguments.Counts(this, counts);
        Check("all-gather", options);
        Copy(source, destination, counts[0] * type.Size());
    }

    /// <inheritdoc/>
    public void Broadcast(nint data, long count, ElementType type, int root, CallOptions options = default)
    {
        Arguments.Root(this, root);
        Check("broadcast", options);
    }

    /// <inheritdoc/>
    public void Send(nint data, long count, ElementType type, int to, CallOptions options = default) => Arguments.Peer(this, to);

    /// <inheritdoc/>
    public void Receive(nint data, long count, ElementType type, int from, CallOptions options = default) => Arguments.Peer(this, from);

    /// <inheritdoc/>
    public void Barrier(CallOptions options = default) => Check("barrier", options);

    /// <inheritdoc/>
    public ICommunicator? Split(int color, int key, CallOptions options = default)
    {
        Check("split", options);
        return color < 0 ? null : new LoopbackCommunicator(Epoch);
    }

    /// <inheritdoc/>
    public void Abort(string reason) => broken ??= reason;

    /// <inheritdoc/>
    public void Dispose() => Abort("disposed");

    private void Check(string operation, CallOptions options)
    {
        if (options.Cancellation.IsCancellationRequested) Abort("cancelled");
        if (broken is { } reason) throw new CommunicatorException(CommunicatorFailure.Aborted, operation, Epoch, null, null, reason);
    }

    private static void Copy(nint source, nint destination, long bytes)
    {
        if (source != destination) Buffer.MemoryCopy((void*)source, (void*)destination, bytes, bytes);
    }
}
