namespace Perennial.Resilience.Membership;

/// <summary>A change of membership.</summary>
/// <param name="previous">The epoch before; null before the first.</param>
/// <param name="current">The epoch now.</param>
/// <param name="rank">This process's rank in it, or -1 where it is not a member (yet).</param>
public sealed class EpochChangedEventArgs(Epoch? previous, Epoch current, int rank) : EventArgs
{
    /// <summary>The epoch before; null before the first.</summary>
    public Epoch? Previous { get; } = previous;

    /// <summary>The epoch now.</summary>
    public Epoch Current { get; } = current;

    /// <summary>This process's rank in it, or -1 where it is not a member (yet).</summary>
    public int Rank { get; } = rank;
}

/// <summary>A member came or went.</summary>
/// <param name="member">Who.</param>
/// <param name="epoch">The first epoch with it, or the first without.</param>
public sealed class MemberEventArgs(Member member, Epoch epoch) : EventArgs
{
    /// <summary>Who.</summary>
    public Member Member { get; } = member;

    /// <summary>The first epoch with it, or the first without.</summary>
    public Epoch Epoch { get; } = epoch;
}
