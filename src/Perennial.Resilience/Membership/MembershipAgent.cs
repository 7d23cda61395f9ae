using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace Perennial.Resilience.Membership;

/// <summary>
/// What one process does about membership, one step at a time: call <see cref="Beat"/> and <see cref="Watch"/> every
/// <see cref="MembershipOptions.Poll"/>, each from its own thread or both from one. <see cref="MembershipSession"/> does that with threads.
/// </summary>
/// <param name="store">The shared store.</param>
/// <param name="options">How this process takes part.</param>
/// <param name="time">The clock; the system's by default.</param>
public sealed class MembershipAgent(IMembershipStore store, MembershipOptions options, TimeProvider? time = null)
{
    private readonly MembershipKeys keys = new(options.Run);
    private readonly Heartbeat heartbeat = new(store, new MembershipKeys(options.Run), options, time ?? TimeProvider.System);
    private readonly Coordinator coordinator = new(store, new MembershipKeys(options.Run), options, time ?? TimeProvider.System);

    private readonly ConcurrentDictionary<long, bool> suspects = [];

    /// <summary>Raised by <see cref="Watch"/> for each member of the last epoch that is not in the new one.</summary>
    public event EventHandler<MemberEventArgs>? MemberLost;

    /// <summary>Raised by <see cref="Watch"/> for each member of the new epoch that was not in the last one.</summary>
    public event EventHandler<MemberEventArgs>? MemberJoined;

    /// <summary>Raised by <see cref="Watch"/> after the members' own events.</summary>
    public event EventHandler<EpochChangedEventArgs>? EpochChanged;

    /// <summary>The id under which this process lives now; 0 before it joined. It changes when the process comes back after a lost lease.</summary>
    public long Id => heartbeat.Id;

    /// <summary>The epoch as last seen; null before the first.</summary>
    public Epoch? Current { get; private set; }

    /// <summary>True where this process was coordinator at its last look.</summary>
    public bool IsCoordinator { get; private set; }

    /// <summary>Takes an id and a lease.</summary>
    public void Join()
    {
        options.Validate();
        heartbeat.Join();
    }

    /// <summary>Gives up id, lease and coordination: the others go on without this process at their next look.</summary>
    public void Leave()
    {
        heartbeat.Leave();
        coordinator.Resign();
    }

    /// <summary>Renews the lease where it is time, and answers doubts.</summary>
    public void Beat() => heartbeat.Beat();

    /// <summary>
    /// Says that a member seems dead (a transport error). It has <see cref="MembershipOptions.Doubt"/> to show that it lives; a dead one is
    /// lost before its lease runs out, a living one is not harmed.
    /// </summary>
    public void Report(long member)
    {
        suspects[member] = true;
        store.Set(keys.Doubt(member), Encoding.ASCII.GetBytes(store.Increment(keys.Doubts).ToString(CultureInfo.InvariantCulture)));
        store.Publish(keys.News, []);
    }

    /// <summary>
    /// Starts the next epoch with the same members, because the group of epoch <paramref name="number"/> broke though nobody was lost (a
    /// timeout, say). All may call it: the first makes the epoch, the others find it made.
    /// </summary>
    /// <returns>True where this call made it.</returns>
    public bool Advance(long number, string reason)
    {
        if (store.Get(keys.Epoch) is not { } bytes) return false;
        var epoch = Epoch.Parse(bytes);
        if (epoch.Number != number || !store.CompareAndSet(keys.Epoch, bytes, (epoch with { Number = number + 1, Reason = reason }).ToBytes())) return false;
        store.Publish(keys.News, []);
        return true;
    }

    /// <summary>Looks once: coordinates where this process is coordinator, then reports a new epoch through the events.</summary>
    public void Watch()
    {
        if (Id == 0) return;
        IsCoordinator = coordinator.TryLead(Id, [.. suspects.Keys]);
        var bytes = store.Get(keys.Epoch);
        if (IsCoordinator && coordinator.Coordinate(bytes)) bytes = store.Get(keys.Epoch);
        if (bytes is null) return;
        var (previous, current) = (Current, Epoch.Parse(bytes));
        if (previous is not null && current.Number <= previous.Number) return;
        // Left out though considered: the others believe this identity dead, so a new one is taken.
        if (current.RankOf(Id) < 0 && Id <= current.Seen) heartbeat.Join();
        Current = current;
        suspects.Clear();
        foreach (var member in previous?.Members ?? [])
            if (current.RankOf(member.Id) < 0) MemberLost?.Invoke(this, new MemberEventArgs(member, current));
        foreach (var member in current.Members)
            if (previous is null || previous.RankOf(member.Id) < 0) MemberJoined?.Invoke(this, new MemberEventArgs(member, current));
        EpochChanged?.Invoke(this, new EpochChangedEventArgs(previous, current, current.RankOf(Id)));
    }
}
