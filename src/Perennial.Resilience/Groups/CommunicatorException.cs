namespace Perennial.Resilience.Groups;

/// <summary>Why a collective failed.</summary>
public enum CommunicatorFailure
{
    /// <summary>
    /// The connection to a peer ended. The named peer died, or it left because something else failed for it: membership decides which.
    /// </summary>
    PeerLost,

    /// <summary>A peer did not come in time: it hangs, is slow, or calls something else.</summary>
    TimedOut,

    /// <summary>This rank aborted the group itself, or its token was cancelled.</summary>
    Aborted,

    /// <summary>The ranks disagree about the call, or the engine failed for a reason of its own.</summary>
    Internal,
}

/// <summary>A collective did not complete. The communicator is broken: dispose it and make a new one in the next epoch.</summary>
public sealed class CommunicatorException : Exception
{
    /// <summary>A failure of one call.</summary>
    /// <param name="failure">The class of the cause.</param>
    /// <param name="operation">The call that failed, such as <c>all-reduce</c>.</param>
    /// <param name="epoch">The epoch of the communicator.</param>
    /// <param name="peer">The peer's rank, or null where it is not known.</param>
    /// <param name="host">The peer's host, or null where it is not known.</param>
    /// <param name="detail">The engine's words.</param>
    /// <param name="inner">The technical cause.</param>
    public CommunicatorException(CommunicatorFailure failure, string operation, long epoch, int? peer, string? host, string detail, Exception? inner = null)
        : base(Describe(failure, operation, epoch, peer, host, detail), inner) =>
        (Failure, Operation, Epoch, Peer, Host) = (failure, operation, epoch, peer, host);

    /// <summary>The class of the cause.</summary>
    public CommunicatorFailure Failure { get; }

    /// <summary>The call that failed.</summary>
    public string Operation { get; }

    /// <summary>The epoch of the communicator.</summary>
    public long Epoch { get; }

    /// <summary>The peer's rank in the communicator, or null where it is not known.</summary>
    public int? Peer { get; }

    /// <summary>The peer's host, or null where it is not known.</summary>
    public string? Host { get; }

    private static string Describe(CommunicatorFailure failure, string operation, long epoch, int? peer, string? host, string detail)
    {
        var who = peer is null ? "" : host is null ? $" rank {peer}" : $" rank {peer} on {host}";
        var what = failure switch
        {
            CommunicatorFailure.PeerLost => $"lost{(who.Length > 0 ? who : " a peer")}",
            CommunicatorFailure.TimedOut => $"waited too long{(who.Length > 0 ? " for" + who : "")}",
            CommunicatorFailure.Aborted => "aborted",
            _ => $"failed{(who.Length > 0 ? " with" + who : "")}",
        };
        return $"{operation} in epoch {epoch} {what}: {detail}";
    }
}
