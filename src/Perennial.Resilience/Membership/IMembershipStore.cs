namespace Perennial.Resilience.Membership;

/// <summary>
/// A small shared store with leases: what membership asks of Redis, and what a test can have in memory. All operations are atomic and may be
/// called from any thread. Values are compared byte by byte.
/// </summary>
/// <remarks>Every method throws <see cref="StoreException"/> where the store cannot be reached.</remarks>
public interface IMembershipStore : IKeyValueStore, IDisposable
{
    /// <summary>The value of a key, or null where it has none (any more).</summary>
    byte[]? Get(string key);

    /// <summary>The values of several keys in one round trip, null where there is none.</summary>
    byte[]?[] GetMany(IReadOnlyList<string> keys);

    /// <summary>Sets a key if it has the expected value (null: none); false, and nothing done, where it has another.</summary>
    bool CompareAndSet(string key, byte[]? expected, byte[] value);

    /// <summary>Takes a key that nobody has, for a while; false where somebody has it.</summary>
    bool TryLease(string key, byte[] value, TimeSpan lease);

    /// <summary>Prolongs a lease, and may change its value, while it still has the expected one; false where it expired or changed hands.</summary>
    bool Renew(string key, byte[] expected, byte[] value, TimeSpan lease);

    /// <summary>Removes a key while it has the expected value; false where it has not.</summary>
    bool Release(string key, byte[] expected);

    /// <summary>Adds one to a counter and returns it; the first call returns 1.</summary>
    long Increment(string key);

    /// <summary>Sends a message to whoever is subscribed now. Nothing is kept: a hint to look, never the only way to learn.</summary>
    void Publish(string channel, ReadOnlySpan<byte> message);

    /// <summary>Calls back for each message on a channel, on a thread of the store, until disposed. The callback must be quick.</summary>
    IDisposable Subscribe(string channel, Action<byte[]> callback);
}
