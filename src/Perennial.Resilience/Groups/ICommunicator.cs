namespace Perennial.Resilience.Groups;

/// <summary>
/// One rank's end of a group of processes that compute together. Calls block; every rank makes the same collective calls in the same
/// order (for each tag). Data is taken and left in place by address: no copies, and the memory must stay fixed until the call returns.
/// After any <see cref="CommunicatorException"/> the communicator is broken for good and its peers fail too; make another in a new epoch.
/// </summary>
public interface ICommunicator : IDisposable
{
    /// <summary>This rank, from 0.</summary>
    int Rank { get; }

    /// <summary>The number of ranks.</summary>
    int Size { get; }

    /// <summary>The epoch of membership that the group belongs to.</summary>
    long Epoch { get; }

    /// <summary>Reduces <paramref name="count"/> elements over all ranks, in place; every rank ends with the same bits.</summary>
    /// <exception cref="ArgumentException">The reduction is not defined for the type; nothing was sent and the group stays whole.</exception>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    void AllReduce(nint data, long count, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default);

    /// <summary>
    /// Reduces a buffer of sum(<paramref name="counts"/>) elements, in rank order; segment r, of counts[r] elements, lands on rank r.
    /// Source and destination must not overlap.
    /// </summary>
    /// <exception cref="ArgumentException">There is not one count a rank, or the reduction is not defined for the type.</exception>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    void ReduceScatter(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default);

    /// <summary>
    /// Gathers counts[r] elements from each rank r, in rank order, onto all ranks. The source may be this rank's place in the destination.
    /// </summary>
    /// <exception cref="ArgumentException">There is not one count a rank.</exception>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    void AllGather(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, CallOptions options = default);

    /// <summary>Copies <paramref name="count"/> elements from <paramref name="root"/> to all ranks, in place.</summary>
    /// <exception cref="ArgumentException">There is no such rank.</exception>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    void Broadcast(nint data, long count, ElementType type, int root, CallOptions options = default);

    /// <summary>Sends to one rank; may block until that rank receives.</summary>
    /// <exception cref="ArgumentException">There is no such rank, or it is this one.</exception>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    void Send(nint data, long count, ElementType type, int to, CallOptions options = default);

    /// <summary>Receives from one rank what it sends with the same tag, count and type.</summary>
    /// <exception cref="ArgumentException">There is no such rank, or it is this one.</exception>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    void Receive(nint data, long count, ElementType type, int from, CallOptions options = default);

    /// <summary>Returns once every rank has called it.</summary>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    void Barrier(CallOptions options = default);

    /// <summary>
    /// Splits the group: ranks of one <paramref name="color"/> form a group of their own, ordered by (<paramref name="key"/>, rank).
    /// Every rank must call it. Disposing or aborting this communicator ends its sub-groups on this rank.
    /// </summary>
    /// <returns>The sub-group, or null for a negative color.</returns>
    /// <exception cref="CommunicatorException">The group broke.</exception>
    ICommunicator? Split(int color, int key, CallOptions options = default);

    /// <summary>Breaks the group at once, from any thread: calls in progress here fail as aborted within milliseconds, those of peers as peer lost.</summary>
    void Abort(string reason);
}
