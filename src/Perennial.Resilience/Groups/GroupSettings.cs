using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Groups;

/// <summary>What it takes to form one group.</summary>
public sealed record GroupSettings
{
    /// <summary>The name under which the ranks find each other; one name serves one attempt, so it carries the epoch (<c>run/g7/</c>).</summary>
    public required string Name { get; init; }

    /// <summary>This rank, from 0.</summary>
    public required int Rank { get; init; }

    /// <summary>The number of ranks.</summary>
    public required int Size { get; init; }

    /// <summary>The epoch of membership.</summary>
    public long Epoch { get; init; }

    /// <summary>How long to wait for all peers when forming the group. Short: a rank that died meanwhile is only found this way.</summary>
    public TimeSpan CreateTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The longest wait for a peer in a call that states none: the last resort against a peer that hangs.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>The host name or address to listen on; peers must be able to reach it. Loopback unless told otherwise.</summary>
    public string Address { get; init; } = "127.0.0.1";

    /// <summary>How Gloo computes an all-reduce; all ranks must agree. Other engines choose for themselves.</summary>
    public AllReduceAlgorithm Algorithm { get; init; }

    /// <summary>Throws unless the rank is one of the size.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is not.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Size, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(Rank);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(Rank, Size);
    }
}

/// <summary>Forms groups: the one thing about an engine that elastic training needs to know.</summary>
public interface ICommunicatorFactory
{
    /// <summary>Joins the group of <paramref name="settings"/> and returns when every rank is there.</summary>
    /// <exception cref="CommunicatorException">Not every rank came in time, or forming was cancelled.</exception>
    /// <exception cref="Perennial.Core.PerennialException">Exit 4: the engine is not installed.</exception>
    ICommunicator Create(GroupSettings settings, CancellationToken cancellation = default);
}

/// <summary>Groups of processes over TCP.</summary>
/// <param name="store">Where the ranks find each other.</param>
public sealed class GlooFactory(IKeyValueStore store) : ICommunicatorFactory
{
    /// <inheritdoc/>
    public ICommunicator Create(GroupSettings settings, CancellationToken cancellation = default) =>
        settings.Size == 1 ? new LoopbackCommunicator(settings.Epoch) : GlooCommunicator.Create(store, settings, cancellation);
}
