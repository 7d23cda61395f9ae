namespace Perennial.Resilience.Groups;

/// <summary>The collectives over managed memory, which is pinned for the call.</summary>
public static unsafe class CommunicatorSpans
{
    /// <summary>Reduces in place over all ranks.</summary>
    public static void AllReduce<T>(this ICommunicator group, Span<T> data, Reduction reduction = Reduction.Sum, CallOptions options = default) where T : unmanaged
    {
        fixed (T* address = data) group.AllReduce((nint)address, data.Length, ElementTypes.Of<T>(), reduction, options);
    }

    /// <summary>Reduces; segment r of <paramref name="counts"/>[r] elements lands on rank r.</summary>
    /// <exception cref="ArgumentException">A length does not agree with the counts.</exception>
    public static void ReduceScatter<T>(
        this ICommunicator group, ReadOnlySpan<T> source, Span<T> destination, ReadOnlySpan<long> counts,
        Reduction reduction = Reduction.Sum, CallOptions options = default) where T : unmanaged
    {
        Arguments.Counts(group, counts);
        Arguments.Length(source.Length, Arguments.Total(counts), nameof(source));
        Arguments.Length(destination.Length, counts[group.Rank], nameof(destination));
        fixed (T* from = source, to = destination) group.ReduceScatter((nint)from, (nint)to, counts, ElementTypes.Of<T>(), reduction, options);
    }

    /// <summary>Gathers counts[r] elements from each rank r onto all.</summary>
    /// <exception cref="ArgumentException">A length does not agree with the counts.</exception>
    public static void AllGather<T>(
        this ICommunicator group, ReadOnlySpan<T> source, Span<T> destination, ReadOnlySpan<long> counts, CallOptions options = default) where T : unmanaged
    {
        Arguments.Counts(group, counts);
        Arguments.Length(source.Length, counts[group.Rank], nameof(source));
        Arguments.Length(destination.Length, Arguments.Total(counts), nameof(destination));
        fixed (T* from = source, to = destination) group.AllGather((nint)from, (nint)to, counts, ElementTypes.Of<T>(), options);
    }

    /// <summary>Copies from <paramref name="root"/> to all ranks.</summary>
    public static void Broadcast<T>(this ICommunicator group, Span<T> data, int root, CallOptions options = default) where T : unmanaged
    {
        fixed (T* address = data) group.Broadcast((nint)address, data.Length, ElementTypes.Of<T>(), root, options);
    }

    /// <summary>Sends to one rank.</summary>
    public static void Send<T>(this ICommunicator group, ReadOnlySpan<T> data, int to, CallOptions options = default) where T : unmanaged
    {
        fixed (T* address = data) group.Send((nint)address, data.Length, ElementTypes.Of<T>(), to, options);
    }

    /// <summary>Receives from one rank.</summary>
    public static void Receive<T>(this ICommunicator group, Span<T> data, int from, CallOptions options = default) where T : unmanaged
    {
        fixed (T* address = data) group.Receive((nint)address, data.Length, ElementTypes.Of<T>(), from, options);
    }
}
