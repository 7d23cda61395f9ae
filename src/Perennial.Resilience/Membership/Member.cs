using System.Text.Json;

namespace Perennial.Resilience.Membership;

/// <summary>A process that takes part.</summary>
/// <param name="Id">Its number, given once and never again: a process that lost its lease comes back under a new one.</param>
/// <param name="Address">Where its peers reach it.</param>
/// <param name="Node">The machine it runs on.</param>
/// <param name="Order">Where it would like to stand among newcomers (the launcher's rank); equal orders stand by id.</param>
/// <param name="Answer">The newest doubt about it that it has answered.</param>
/// <param name="LeaseSeconds">The lease that it takes (<see cref="LeaseLength"/>); 0 for the usual one.</param>
public sealed record Member(long Id, string Address, string Node, int Order = int.MaxValue, long Answer = 0, double LeaseSeconds = 0)
{
    /// <summary>As kept in the store (JSON).</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this);

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    /// <exception cref="StoreException">The store holds nothing.</exception>
    public static Member Parse(byte[] bytes) =>
        JsonSerializer.Deserialize<Member>(bytes) ?? throw new StoreException("the store holds a member that is null");
}

/// <summary>Who belongs together from one change of membership to the next; a member's rank is its place in the list.</summary>
/// <param name="Number">1, 2, 3, …</param>
/// <param name="Members">The members in the order of their ranks.</param>
/// <param name="Seen">The greatest id that was considered; greater ones are newcomers.</param>
/// <param name="Reason">What changed, for people.</param>
public sealed record Epoch(long Number, IReadOnlyList<Member> Members, long Seen, string Reason)
{
    /// <summary>The rank of a member, or -1 where it is not in the epoch.</summary>
    public int RankOf(long id)
    {
        for (var rank = 0; rank < Members.Count; rank++)
            if (Members[rank].Id == id) return rank;
        return -1;
    }

    /// <summary>As kept in the store (JSON).</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this);

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    /// <exception cref="StoreException">The store holds nothing.</exception>
    public static Epoch Parse(byte[] bytes) =>
        JsonSerializer.Deserialize<Epoch>(bytes) ?? throw new StoreException("the store holds an epoch that is null");
}
