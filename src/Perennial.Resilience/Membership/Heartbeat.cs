using System.Globalization;
using System.Text;

namespace Perennial.Resilience.Membership;

/// <summary>One member's sign of life: its lease, renewed every quarter lease, and at once when somebody doubts that it lives.</summary>
internal sealed class Heartbeat(IMembershipStore store, MembershipKeys keys, MembershipOptions options, TimeProvider time)
{
    private readonly Lock gate = new();
    private readonly LeaseLength lease = new(options.Lease);
    private readonly long began = time.GetTimestamp();
    private Member? card;
    private long renewed, beaten = time.GetTimestamp();

    /// <summary>The id under which this process lives now, 0 before it joined.</summary>
    public long Id
    {
        get
        {
            lock (gate) return card?.Id ?? 0;
        }
    }

    /// <summary>Takes a new id and its lease; an older one is given up.</summary>
    public void Join()
    {
        lock (gate)
        {
            Leave();
            var fresh = new Member(store.Increment(keys.Ids), options.Address, options.Node, options.Order, LeaseSeconds: lease.Value.TotalSeconds);
            store.TryLease(keys.Member(fresh.Id), fresh.ToBytes(), lease.Value);
            (card, renewed) = (fresh, time.GetTimestamp());
            beaten = renewed;
        }
        store.Publish(keys.News, []);
    }

    /// <summary>Gives the lease up: the others learn of it at their next look.</summary>
    public void Leave()
    {
        lock (gate)
        {
            if (card is not null) store.Release(keys.Member(card.Id), card.ToBytes());
            card = null;
        }
    }

    /// <summary>Renews where it is time or where there is a doubt to answer. A lease that ran out ends the identity: a new one is taken.</summary>
    public void Beat()
    {
        lock (gate)
        {
            if (card is null) return;
            var now = time.GetTimestamp();
            lease.Add(time.GetElapsedTime(began, now), time.GetElapsedTime(beaten, now));
            beaten = now;
            var doubt = store.Get(keys.Doubt(card.Id)) is { } raised ? long.Parse(Encoding.ASCII.GetString(raised), CultureInfo.InvariantCulture) : 0;
            if (doubt <= card.Answer && time.GetElapsedTime(renewed) < options.Lease / 4) return;
            var next = card with { Answer = Math.Max(doubt, card.Answer), LeaseSeconds = lease.Value.TotalSeconds };
            if (!store.Renew(keys.Member(card.Id), card.ToBytes(), next.ToBytes(), lease.Value))
            {
                Join();
                return;
            }
            (card, renewed) = (next, time.GetTimestamp());
        }
    }
}
