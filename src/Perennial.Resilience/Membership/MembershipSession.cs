using System.Diagnostics;
using Perennial.Resilience.Groups;

namespace Perennial.Resilience.Membership;

/// <summary>
/// This process's place among its peers, kept by two threads of its own: one renews the lease (and does nothing else, so that no handler can
/// starve it), one watches and raises the events.
/// </summary>
public sealed class MembershipSession : IDisposable
{
    private readonly MembershipAgent agent;
    private readonly MembershipOptions options;
    private readonly object gate = new();
    private readonly ManualResetEventSlim stop = new();
    private readonly AutoResetEvent news = new(false);
    private readonly IDisposable subscription;
    private readonly Thread[] threads;
    private Exception? lastError;

    /// <summary>Joins; the heartbeat and the watch run until <see cref="Dispose"/>.</summary>
    /// <param name="store">The shared store; it stays the caller's.</param>
    /// <param name="options">How this process takes part.</param>
    /// <param name="configure">Subscribes to the agent's events before the first can be raised; handlers run on the watch thread.</param>
    /// <exception cref="StoreException">The store cannot be reached.</exception>
    public MembershipSession(IMembershipStore store, MembershipOptions options, Action<MembershipAgent>? configure = null)
    {
        this.options = options;
        agent = new MembershipAgent(store, options);
        configure?.Invoke(agent);
        agent.EpochChanged += (_, _) =>
        {
            lock (gate) Monitor.PulseAll(gate);
        };
        Keys = new MembershipKeys(options.Run);
        subscription = store.Subscribe(Keys.News, _ => Wake());
        agent.Join();
        threads =
        [
            new Thread(() => Loop(agent.Beat, () => stop.Wait(options.Poll))) { Name = "heartbeat", Priority = ThreadPriority.Highest },
            new Thread(() => Loop(agent.Watch, () => news.WaitOne(options.Poll))) { Name = "membership" },
        ];
        foreach (var thread in threads)
        {
            thread.IsBackground = true;
            thread.Start();
        }
    }

    /// <summary>The id under which this process lives now; it changes when the process comes back after a lost lease.</summary>
    public long Id => agent.Id;

    /// <summary>Where the run keeps its things; <see cref="MembershipKeys.Group"/> names the group of an epoch.</summary>
    public MembershipKeys Keys { get; }

    /// <summary>The epoch as last seen; null before the first.</summary>
    public Epoch? Current => agent.Current;

    /// <summary>What the store last failed with; null while it answers.</summary>
    public Exception? LastError => Volatile.Read(ref lastError);

    /// <summary>Says that a member seems dead; see <see cref="MembershipAgent.Report"/>.</summary>
    public void Report(long member) => agent.Report(member);

    /// <summary>Starts the next epoch with the same members; see <see cref="MembershipAgent.Advance"/>.</summary>
    public bool Advance(long number, string reason) => agent.Advance(number, reason);

    /// <summary>
    /// After a collective broke in <paramref name="epoch"/>: reports the lost peer, gives membership the time of a doubt and a lease to find
    /// the change, and where nobody was lost starts the next epoch with the same members.
    /// </summary>
    /// <returns>The next epoch that this process is a member of, and its rank there.</returns>
    /// <exception cref="TimeoutException">None came in time.</exception>
    public (Epoch Epoch, int Rank) NextEpoch(Epoch epoch, CommunicatorException failure, TimeSpan timeout, CancellationToken cancellation = default)
    {
        if (failure is { Failure: CommunicatorFailure.PeerLost, Peer: { } peer }) Report(epoch.Members[peer].Id);
        try
        {
            var patience = options.Lease + options.Doubt + 4 * options.Poll;
            return WaitForEpoch(epoch.Number, patience < timeout ? patience : timeout, cancellation);
        }
        catch (TimeoutException)
        {
            Advance(epoch.Number, $"nobody was lost, but {failure.Message}");
            return WaitForEpoch(epoch.Number, timeout, cancellation);
        }
    }

    /// <summary>Waits for an epoch after <paramref name="number"/> that this process is a member of.</summary>
    /// <returns>The epoch and this process's rank in it.</returns>
    /// <exception cref="TimeoutException">None came in time; the message says why the store failed, if it did.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    public (Epoch Epoch, int Rank) WaitForEpoch(long number, TimeSpan timeout, CancellationToken cancellation = default)
    {
        using var waking = cancellation.UnsafeRegister(static self =>
        {
            var gate = ((MembershipSession)self!).gate;
            lock (gate) Monitor.PulseAll(gate);
        }, this);
        var clock = Stopwatch.StartNew();
        lock (gate)
        {
            while (true)
            {
                cancellation.ThrowIfCancellationRequested();
                if (agent.Current is { } epoch && epoch.Number > number && epoch.RankOf(agent.Id) is >= 0 and var rank) return (epoch, rank);
                var rest = timeout - clock.Elapsed;
                if (rest <= TimeSpan.Zero)
                    throw new TimeoutException($"no epoch after {number} within {timeout.TotalSeconds} s{(LastError is { } error ? $": {error.Message}" : "")}", LastError);
                Monitor.Wait(gate, rest + TimeSpan.FromMilliseconds(1));
            }
        }
    }

    /// <summary>Leaves politely and ends the threads.</summary>
    public void Dispose()
    {
        if (stop.IsSet) return;
        stop.Set();
        news.Set();
        foreach (var thread in threads) thread.Join();
        subscription.Dispose();
        try
        {
            agent.Leave();
        }
        catch (StoreException)
        {
            // The lease runs out by itself.
        }
        news.Dispose();
        stop.Dispose();
    }

    private void Wake()
    {
        try
        {
            news.Set();
        }
        catch (ObjectDisposedException)
        {
            // A message that was on its way when this process left.
        }
    }

    private void Loop(Action step, Action pause)
    {
        while (!stop.IsSet)
        {
            try
            {
                step();
                Volatile.Write(ref lastError, null);
            }
            catch (StoreException error)
            {
                Volatile.Write(ref lastError, error);
            }
            pause();
        }
    }
}
