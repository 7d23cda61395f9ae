namespace Perennial.Resilience.Membership;

/// <summary>What rendezvous needs of a store shared by all processes: publish a value once, wait for another's.</summary>
public interface IKeyValueStore
{
    /// <summary>Sets a value.</summary>
    /// <exception cref="StoreException">The store cannot be reached.</exception>
    void Set(string key, ReadOnlySpan<byte> value);

    /// <summary>Waits until a key has a value and returns it.</summary>
    /// <exception cref="TimeoutException">No value came in time.</exception>
    /// <exception cref="OperationCanceledException">The wait was cancelled.</exception>
    /// <exception cref="StoreException">The store cannot be reached.</exception>
    byte[] Wait(string key, TimeSpan timeout, CancellationToken cancellation = default);
}

/// <summary>The store of membership cannot be reached or refused a command.</summary>
/// <param name="message">What failed, and where the store should be.</param>
/// <param name="inner">The technical cause.</param>
public sealed class StoreException(string message, Exception? inner = null) : Exception(message, inner);
