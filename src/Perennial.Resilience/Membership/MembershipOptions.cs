namespace Perennial.Resilience.Membership;

/// <summary>How one process takes part.</summary>
public sealed record MembershipOptions
{
    /// <summary>The name of the run: processes of one name belong together.</summary>
    public required string Run { get; init; }

    /// <summary>Where peers reach this process.</summary>
    public string Address { get; init; } = "127.0.0.1";

    /// <summary>The machine; by default its name.</summary>
    public string Node { get; init; } = Environment.MachineName;

    /// <summary>Where this process would like to stand among newcomers: the launcher's rank.</summary>
    public int Order { get; init; } = int.MaxValue;

    /// <summary>The first epoch waits for so many members.</summary>
    public int Expected { get; init; } = 1;

    /// <summary>No epoch has fewer members; with fewer alive, the old epoch stands and everyone waits.</summary>
    public int Minimum { get; init; } = 1;

    /// <summary>How long a silent process counts as alive, at least: one that is held up again and again takes a longer lease, up to ten times this.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How often the store is read; leases are renewed every quarter lease.</summary>
    public TimeSpan Poll { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>How long a member that a peer reports lost has to show that it lives.</summary>
    public TimeSpan Doubt { get; init; } = TimeSpan.FromMilliseconds(150);

    /// <summary>Newcomers are admitted when no further one has come for this long, so that a group grows in one change.</summary>
    public TimeSpan Settle { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>After the loss of all members at once: how long those who come back wait for the rest of the expected ones.</summary>
    public TimeSpan Regather { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Throws unless the options make sense together.</summary>
    /// <exception cref="ArgumentException">They do not.</exception>
    public void Validate()
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(Run);
        if (Minimum < 1 || Expected < Minimum) throw new ArgumentException($"expected {Expected} and minimum {Minimum}: 1 <= minimum <= expected must hold");
        if (Poll <= TimeSpan.Zero || Lease < 4 * Poll) throw new ArgumentException($"lease {Lease} must be at least four polls of {Poll}");
        if (Doubt < 2 * Poll) throw new ArgumentException($"doubt {Doubt} must be at least two polls of {Poll}");
    }
}
