using System.Diagnostics;

namespace Perennial.Resilience.Groups;

/// <summary>
/// Groups of threads in one process, with the semantics of processes: calls block, time out, can be aborted, and a rank can be killed.
/// It also checks what a network cannot: ranks that call different things at the same time are told so. For tests and dry runs.
/// </summary>
public sealed class ThreadHub : ICommunicatorFactory
{
    private readonly Dictionary<string, ThreadGroup> groups = [];

    /// <inheritdoc/>
    public ICommunicator Create(GroupSettings settings, CancellationToken cancellation = default) => Join(settings, cancellation);

    /// <summary>As <see cref="Create"/>, with the handle by which a test kills the rank.</summary>
    /// <exception cref="CommunicatorException">Not every rank came in time, or forming was cancelled.</exception>
    public ThreadCommunicator Join(GroupSettings settings, CancellationToken cancellation = default)
    {
        settings.Validate();
        ThreadGroup? group;
        lock (groups)
        {
            if (!groups.TryGetValue(settings.Name, out group)) groups.Add(settings.Name, group = new ThreadGroup(settings.Size, settings.Epoch));
            if (group.Size != settings.Size || group.Epoch != settings.Epoch)
                throw new ArgumentException($"group '{settings.Name}' has {group.Size} ranks in epoch {group.Epoch}", nameof(settings));
        }
        var communicator = new ThreadCommunicator(group, settings.Rank, settings.Timeout);
        try
        {
            communicator.Barrier(new CallOptions(uint.MaxValue, settings.CreateTimeout, cancellation));
            return communicator;
        }
        catch (CommunicatorException error)
        {
            communicator.Dispose();
            throw new CommunicatorException(error.Failure, "forming a group", settings.Epoch, error.Peer, error.Host, error.Message, error);
        }
    }
}

/// <summary>Where the ranks of one thread group meet. One lock; whoever comes last does the work for all.</summary>
internal sealed class ThreadGroup(int size, long epoch)
{
    private readonly object gate = new();
    private readonly Dictionary<(string Kind, uint Tag, long Sequence), Meeting> meetings = [];
    private readonly string?[] left = new string?[size];
    private readonly List<(int Rank, bool Polite)> leavers = [];

    public int Size { get; } = size;

    public long Epoch { get; } = epoch;

    /// <summary>Takes a rank out of the group for good. A polite leave fails only who waits for that rank, any other fails everyone.</summary>
    public void Leave(int rank, string reason, bool polite = false)
    {
        lock (gate)
        {
            if (left[rank] is not null) return;
            left[rank] = reason;
            leavers.Add((rank, polite));
            Monitor.PulseAll(gate);
        }
    }

    /// <summary>Waits until all participants are at the meeting; the last one runs <paramref name="complete"/> over everyone's posts.</summary>
    public TPost Meet<TPost>(
        (string Kind, uint Tag, long Sequence) key, int rank, int[] participants, string call, TPost post, Action<TPost[]> complete, TimeSpan timeout)
        where TPost : class
    {
        var clock = Stopwatch.StartNew();
        lock (gate)
        {
            if (left[rank] is { } gone) throw Error(CommunicatorFailure.Aborted, call, null, gone);
            if (!meetings.TryGetValue(key, out var meeting)) meetings.Add(key, meeting = new Meeting(call, participants.Length));
            if (meeting.Call != call)
            {
                Leave(rank, "the ranks disagree");
                throw Error(CommunicatorFailure.Internal, call, null, $"other ranks call {meeting.Call}");
            }
            meeting.Posts[Array.IndexOf(participants, rank)] = post;
            if (meeting.Posts.All(one => one is not null))
            {
                complete([.. meeting.Posts.Cast<TPost>()]);
                meeting.Done = true;
                meetings.Remove(key);
                Monitor.PulseAll(gate);
                return post;
            }
            while (!meeting.Done)
            {
                if (left[rank] is { } reason) throw Error(CommunicatorFailure.Aborted, call, null, reason);
                foreach (var (leaver, polite) in leavers)
                {
                    if (polite && !participants.Contains(leaver)) continue;
                    Leave(rank, $"lost rank {leaver}");
                    throw Error(CommunicatorFailure.PeerLost, call, leaver, left[leaver]!);
                }
                var rest = timeout - clock.Elapsed;
                if (rest <= TimeSpan.Zero)
                {
                    var missing = participants[Array.IndexOf(meeting.Posts, null)];
                    Leave(rank, "timed out");
                    throw Error(CommunicatorFailure.TimedOut, call, missing, $"it did not come within {timeout.TotalMilliseconds} ms");
                }
                Monitor.Wait(gate, rest + TimeSpan.FromMilliseconds(1));
            }
            return post;
        }
    }

    private CommunicatorException Error(CommunicatorFailure failure, string call, int? peer, string detail) =>
        new(failure, call, Epoch, peer, peer is null ? null : Environment.MachineName, detail);

    private sealed class Meeting(string call, int participants)
    {
        public string Call { get; } = call;

        public object?[] Posts { get; } = new object?[participants];

        public bool Done { get; set; }
    }
}
