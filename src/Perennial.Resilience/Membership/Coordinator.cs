using System.Globalization;
using System.Text;

namespace Perennial.Resilience.Membership;

/// <summary>
/// The duty of one member at a time: watch leases and doubts, and write the next epoch by compare-and-set. Whoever holds the coordinator's
/// lease does it; two that both believe so cannot harm, since only one compare-and-set succeeds. So a holder that peers report lost and that
/// does not answer loses that lease to one of them before it runs out.
/// </summary>
internal sealed class Coordinator(IMembershipStore store, MembershipKeys keys, MembershipOptions options, TimeProvider time)
{
    private readonly Dictionary<long, (long Doubt, long Since)> doubts = [];
    private readonly Dictionary<long, long> newcomers = [];
    private byte[]? badge;
    private long renewed;

    /// <summary>Takes or keeps the coordinator's lease; true while this member has it.</summary>
    /// <param name="id">This member.</param>
    /// <param name="suspects">Members that this one has reported since the epoch began.</param>
    public bool TryLead(long id, IReadOnlyCollection<long> suspects)
    {
        var mine = Encoding.ASCII.GetBytes(id.ToString(CultureInfo.InvariantCulture));
        if (badge is not null && badge.AsSpan().SequenceEqual(mine))
        {
            if (time.GetElapsedTime(renewed) < options.Lease / 4) return true;
            if (!store.Renew(keys.Coordinator, mine, mine, options.Lease)) badge = null;
        }
        else
        {
            badge = store.TryLease(keys.Coordinator, mine, options.Lease) || Overthrows(mine, suspects) ? mine : null;
            newcomers.Clear();
            // Only what this member raised itself it has looked at ever since.
            foreach (var other in doubts.Keys.Except(suspects).ToList()) doubts.Remove(other);
        }
        renewed = time.GetTimestamp();
        return badge is not null;
    }

    /// <summary>Gives the lease up, so that another member takes over at its next look.</summary>
    public void Resign()
    {
        if (badge is not null) store.Release(keys.Coordinator, badge);
        badge = null;
    }

    /// <summary>Looks at everyone and writes the next epoch where one is due; true where it did.</summary>
    public bool Coordinate(byte[]? currentBytes)
    {
        var current = currentBytes is null ? null : Epoch.Parse(currentBytes);
        var given = store.Get(keys.Ids) is { } counter ? long.Parse(Encoding.ASCII.GetString(counter), CultureInfo.InvariantCulture) : 0;
        var known = (current?.Members ?? []).Select(member => member.Id).ToList();
        for (var id = (current?.Seen ?? 0) + 1; id <= given; id++) known.Add(id);
        var values = store.GetMany([.. known.Select(keys.Member), .. known.Select(keys.Doubt)]);
        var alive = new List<Member>();
        for (var i = 0; i < known.Count; i++)
            if (values[i] is { } card && !Convicted(Member.Parse(card), values[known.Count + i])) alive.Add(Member.Parse(card));
        var next = EpochPlan.Next(current, alive, Settled(current, alive, given), given, options);
        if (next is null || !store.CompareAndSet(keys.Epoch, currentBytes, next.ToBytes())) return false;
        store.Publish(keys.News, []);
        return true;
    }

    // Every suspect's time runs from here on, so that a new coordinator need not give it again.
    private bool Overthrows(byte[] mine, IReadOnlyCollection<long> suspects)
    {
        if (suspects.Count == 0) return false;
        long[] ids = [.. suspects];
        var values = store.GetMany([keys.Coordinator, .. ids.Select(keys.Member), .. ids.Select(keys.Doubt)]);
        if (values[0] is not { } holder) return false;
        var held = long.Parse(Encoding.ASCII.GetString(holder), CultureInfo.InvariantCulture);
        var falls = false;
        for (var i = 0; i < ids.Length; i++)
        {
            var isLost = values[1 + i] is not { } card || Convicted(Member.Parse(card), values[1 + ids.Length + i]);
            falls |= isLost && ids[i] == held;
        }
        return falls && store.Renew(keys.Coordinator, holder, mine, options.Lease);
    }

    // A doubt counts from when this coordinator first saw it; the member's answer carries the doubt's number or a later one.
    private bool Convicted(Member member, byte[]? raised)
    {
        if (raised is null) return false;
        var doubt = long.Parse(Encoding.ASCII.GetString(raised), CultureInfo.InvariantCulture);
        if (member.Answer >= doubt)
        {
            doubts.Remove(member.Id);
            return false;
        }
        // A newer doubt does not start the time anew: many reports must not keep a dead member alive.
        if (!doubts.TryGetValue(member.Id, out var first)) doubts[member.Id] = first = (doubt, time.GetTimestamp());
        // Who takes a longer lease is held up now and then: its answer is given as much longer.
        return time.GetElapsedTime(first.Since) >= options.Doubt * Math.Max(1, member.LeaseSeconds / options.Lease.TotalSeconds);
    }

    // Ids that were given and whose lease has not come yet hold the door open too, for at most one lease.
    private bool Settled(Epoch? current, List<Member> alive, long given)
    {
        var now = time.GetTimestamp();
        var present = alive.Select(member => member.Id).ToHashSet();
        var settled = true;
        var patience = current is not null && !current.Members.Any(member => present.Contains(member.Id)) ? options.Regather : options.Settle;
        for (var id = (current?.Seen ?? 0) + 1; id <= given; id++)
        {
            if (!newcomers.TryGetValue(id, out var since)) newcomers[id] = since = now;
            if (time.GetElapsedTime(since, now) < (present.Contains(id) ? patience : options.Lease)) settled = false;
        }
        return settled || (current is null && alive.Count >= options.Expected);
    }
}
