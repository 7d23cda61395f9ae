using System.Diagnostics;
using Perennial.Core;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;

namespace Perennial.Training.Parallel;

/// <summary>
/// The processes of a parallel shape. Each was started for a place (its rank). When one is lost the others come together at once and go on in
/// another shape, or, where the recipe says so, wait until somebody has taken its place.
/// </summary>
internal sealed class FixedWorld : IDisposable
{
    private const int MostFailures = 20;
    private readonly ParallelSettings settings;
    private readonly bool waits;
    private readonly CancellationToken cancellation;
    private readonly MembershipSession session;
    private readonly Lock gate = new();
    private ICommunicator? group;
    private CancellationTokenSource? forming;
    private Epoch? epoch;
    private IReadOnlyList<long> needed = [];

    /// <param name="settings">How this process meets the others; its rank is its place.</param>
    /// <param name="waits">Whether every place must be taken.</param>
    /// <param name="cancellation">Ends waiting.</param>
    public FixedWorld(ParallelSettings settings, bool waits, CancellationToken cancellation)
    {
        (this.settings, this.waits, this.cancellation) = (settings, waits, cancellation);
        settings.Interruption?.Listen(reason => Volatile.Read(ref group)?.Abort(reason));
        session = new MembershipSession(settings.Store, new MembershipOptions
        {
            Run = settings.Run, Address = settings.Address, Node = settings.Node, Order = settings.Rank, Expected = settings.WorldSize, Lease = settings.Lease,
        }, agent => agent.EpochChanged += (_, change) => OnEpoch(change.Current));
    }

    /// <summary>Seconds until it was clear who is there, and from there to connected processes; of the last world.</summary>
    public (double Agree, double Group) Phases { get; private set; }

    /// <summary>The present membership's number.</summary>
    public long Epoch => epoch?.Number ?? 0;

    /// <summary>Why it came about.</summary>
    public string Reason => epoch?.Reason ?? "";

    /// <summary>Of every present process the place that it was started for.</summary>
    public IReadOnlyList<int> Orders
    {
        get
        {
            // Where all are there, everyone has its own rank; else they are numbered as the membership has them.
            var orders = epoch!.Members.Select(member => member.Order).ToArray();
            return IsComplete(epoch) ? [.. orders.Order()] : orders;
        }
    }

    /// <summary>Whether there is a newer membership to go over to.</summary>
    public bool HasNews => !waits && session.Current?.Number > Epoch;

    /// <summary>Waits for everybody and forms the world.</summary>
    /// <exception cref="PerennialException">Exit 1: they did not come in time.</exception>
    public ICommunicator Join() => Form(() => session.WaitForEpoch(0, settings.Patience));

    /// <summary>Goes over to the next membership.</summary>
    /// <param name="isWaiting">Whether it may be long until there is one, so that being asked to stop ends it.</param>
    /// <exception cref="PerennialException">Exit 1: nobody came in time.</exception>
    /// <exception cref="OperationCanceledException">This process was asked to stop.</exception>
    public ICommunicator Regroup(bool isWaiting)
    {
        Leave();
        return Form(() => session.WaitForEpoch(epoch!.Number, settings.Patience, isWaiting ? cancellation : CancellationToken.None));
    }

    /// <summary>After a failed call: the next world, of those who are left, or once all places are taken again.</summary>
    /// <param name="lost">What failed.</param>
    /// <param name="suspects">The places that it may have been about: whoever is there shows that it lives.</param>
    /// <exception cref="PerennialException">Exit 1: nobody came in time.</exception>
    public ICommunicator Rejoin(CommunicatorException lost, IEnumerable<int> suspects)
    {
        var (broken, places) = (epoch!, Volatile.Read(ref needed));
        Leave();
        return Form(() =>
        {
            foreach (var place in suspects.Where(place => place < places.Count)) session.Report(places[place]);
            return session.NextEpoch(broken, Unnamed(lost), settings.Patience);
        });
    }

    /// <summary>Starts the next membership, of the same processes: they go over to it at the end of a step. Does nothing while the store does not answer.</summary>
    public void Renew(string reason)
    {
        try
        {
            session.Advance(Epoch, reason);
        }
        catch (StoreException)
        {
            // The heartbeat tells of it; the membership stays as it is.
        }
    }

    /// <summary>Says who has a place: that others leave disturbs nobody.</summary>
    /// <param name="ranks">Their ranks in the world.</param>
    public void Need(IEnumerable<int> ranks)
    {
        var complete = IsComplete(epoch!);
        Volatile.Write(ref needed, [.. ranks.Select(rank => complete ? epoch!.Members.First(member => member.Order == rank).Id : epoch!.Members[rank].Id)]);
        if (session.Current is { } newest) OnEpoch(newest);
    }

    /// <summary>Waits until the membership changes; for a process without a place.</summary>
    /// <exception cref="OperationCanceledException">This process was asked to stop.</exception>
    public void AwaitNews()
    {
        while (!HasNews && !cancellation.IsCancellationRequested)
        {
            try
            {
                _ = session.WaitForEpoch(Epoch, TimeSpan.FromSeconds(60), cancellation);
            }
            catch (TimeoutException)
            {
                // Nothing has changed.
            }
        }
        cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>Leaves the world at once, so that every other member notices.</summary>
    public void Leave() => Interlocked.Exchange(ref group, null)?.Dispose();

    public void Dispose()
    {
        settings.Interruption?.Listen(null);
        Leave();
        session.Dispose();
    }

    // A rank of a group is not the place of a member in the epoch.
    private static CommunicatorException Unnamed(CommunicatorException lost) => lost.Peer is null ? lost : new(lost.Failure, "a call", lost.Epoch, null, null, lost.Message, lost);

    private bool IsComplete(Epoch members) => members.Members.Count == settings.WorldSize && members.Members.Select(member => member.Order).Order().SequenceEqual(Enumerable.Range(0, settings.WorldSize));

    private ICommunicator Form(Func<(Epoch Epoch, int Rank)> next)
    {
        var clock = Stopwatch.GetTimestamp();
        for (var failures = 0; ; failures++)
        {
            try
            {
                (epoch, var rank) = next();
                while (waits && epoch.Members.Count != settings.WorldSize) (epoch, rank) = session.WaitForEpoch(epoch.Number, settings.Patience);
                var agreed = Stopwatch.GetElapsedTime(clock).TotalSeconds;
                Volatile.Write(ref needed, [.. epoch.Members.Select(member => member.Id)]);
                Connect(waits || IsComplete(epoch) ? settings.Rank : rank);
                Phases = (agreed, Stopwatch.GetElapsedTime(clock).TotalSeconds - agreed);
                return group!;
            }
            catch (CommunicatorException lost) when (failures < MostFailures)
            {
                var broken = epoch!;
                Leave();
                next = () => session.NextEpoch(broken, Unnamed(lost), settings.Patience);
            }
            catch (Exception error) when (error is CommunicatorException or TimeoutException)
            {
                throw PerennialException.Failed($"the {settings.WorldSize} processes of 'parallel:' do not come together: {error.Message}", error);
            }
        }
    }

    private void Connect(int rank)
    {
        using var source = new CancellationTokenSource();
        try
        {
            lock (gate) forming = source;
            if (session.Current is { } present) OnEpoch(present);
            Volatile.Write(ref group, settings.Groups.Create(new GroupSettings
            {
                Name = session.Keys.Group(epoch!.Number), Rank = rank, Size = epoch.Members.Count, Epoch = epoch.Number, Address = settings.Address,
                // A newcomer waits here for the others to come to the end of their step; that one is lost meanwhile is known from the membership.
                CreateTimeout = TimeSpan.FromSeconds(waits ? 10 : 30), Timeout = TimeSpan.FromMinutes(30),
            }, source.Token));
        }
        finally
        {
            lock (gate) forming = null;
        }
        if (session.Current is { } newest) OnEpoch(newest);
    }

    /// <summary>A member of the present world is gone: whoever waits for it need not wait longer. A world that is being formed gives way to any newer one.</summary>
    private void OnEpoch(Epoch newest)
    {
        if (epoch is not { } mine || mine.Number >= newest.Number) return;
        lock (gate)
        {
            // Some may have seen the newer one first: they do not come to this one.
            if (!waits) forming?.Cancel();
        }
        if (Volatile.Read(ref needed).Any(id => newest.RankOf(id) < 0)) Volatile.Read(ref group)?.Abort($"membership changed: {newest.Reason}");
    }
}
