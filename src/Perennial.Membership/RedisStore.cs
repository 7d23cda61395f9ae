using System.Diagnostics;
using Perennial.Core;
using Perennial.Resilience.Membership;
using StackExchange.Redis;

namespace Perennial.Membership;

/// <summary>The store of membership over the Redis protocol. Compare-and-set is a watched transaction, which every such server has.</summary>
public sealed class RedisStore : IMembershipStore
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(1), LongestPause = TimeSpan.FromMilliseconds(10);
    private readonly ConnectionMultiplexer connection;
    private readonly IDatabase database;
    private readonly StoreAddress address;

    private RedisStore(ConnectionMultiplexer connection, StoreAddress address) =>
        (this.connection, database, this.address) = (connection, connection.GetDatabase(), address);

    /// <summary>Connects; lost connections are taken up again by themselves.</summary>
    /// <param name="address">Where the store is.</param>
    /// <param name="timeout">The longest wait for the connection, and for any one answer later.</param>
    /// <exception cref="PerennialException">Exit 1: there is no store, or it refuses the password.</exception>
    public static RedisStore Connect(StoreAddress address, TimeSpan? timeout = null)
    {
        ThreadPoolFloor.Raise();
        var milliseconds = (int)(timeout ?? TimeSpan.FromSeconds(5)).TotalMilliseconds;
        var options = new ConfigurationOptions
        {
            EndPoints = { { address.Host, address.Port } },
            Password = address.Password,
            ConnectTimeout = milliseconds,
            SyncTimeout = milliseconds,
            ConnectRetry = 5,
            AbortOnConnectFail = true,
            // A call without a connection fails at once: a heartbeat that waits in a queue would miss the store's return.
            BacklogPolicy = BacklogPolicy.FailFast,
        };
        try
        {
            return new RedisStore(ConnectionMultiplexer.Connect(options), address);
        }
        catch (RedisException error)
        {
            throw PerennialException.Failed($"no store answers at {address}: {(error.InnerException ?? error).Message}", error);
        }
    }

    /// <inheritdoc/>
    public void Set(string key, ReadOnlySpan<byte> value)
    {
        var copy = value.ToArray();
        Ask(() => database.StringSet(key, copy));
    }

    /// <inheritdoc/>
    public byte[]? Get(string key) => Ask(() => (byte[]?)database.StringGet(key));

    /// <inheritdoc/>
    public byte[]?[] GetMany(IReadOnlyList<string> keys) =>
        keys.Count == 0 ? [] : [.. Ask(() => database.StringGet([.. keys.Select(key => (RedisKey)key)])).Select(value => (byte[]?)value)];

    /// <inheritdoc/>
    public byte[] Wait(string key, TimeSpan timeout, CancellationToken cancellation = default)
    {
        var clock = Stopwatch.StartNew();
        for (var pause = FirstPause; ; pause = pause * 2 > LongestPause ? LongestPause : pause * 2)
        {
            cancellation.ThrowIfCancellationRequested();
            if (Get(key) is { } value) return value;
            if (clock.Elapsed >= timeout) throw new TimeoutException($"no value for '{key}' within {timeout.TotalMilliseconds} ms");
            cancellation.WaitHandle.WaitOne(pause);
        }
    }

    /// <inheritdoc/>
    public bool CompareAndSet(string key, byte[]? expected, byte[] value) => If(key, expected, transaction => _ = transaction.StringSetAsync(key, value));

    /// <inheritdoc/>
    public bool TryLease(string key, byte[] value, TimeSpan lease) => Ask(() => database.StringSet(key, value, lease, when: When.NotExists));

    /// <inheritdoc/>
    public bool Renew(string key, byte[] expected, byte[] value, TimeSpan lease) =>
        If(key, expected, transaction => _ = transaction.StringSetAsync(key, value, lease));

    /// <inheritdoc/>
    public bool Release(string key, byte[] expected) => If(key, expected, transaction => _ = transaction.KeyDeleteAsync(key));

    /// <inheritdoc/>
    public long Increment(string key) => Ask(() => database.StringIncrement(key));

    /// <inheritdoc/>
    public void Publish(string channel, ReadOnlySpan<byte> message)
    {
        var copy = message.ToArray();
        Ask(() => connection.GetSubscriber().Publish(RedisChannel.Literal(channel), copy, CommandFlags.FireAndForget));
    }

    /// <inheritdoc/>
    public IDisposable Subscribe(string channel, Action<byte[]> callback)
    {
        var (subscriber, name) = (connection.GetSubscriber(), RedisChannel.Literal(channel));
        void Handle(RedisChannel _, RedisValue value) => callback((byte[]?)value ?? []);
        Ask(() =>
        {
            subscriber.Subscribe(name, Handle);
            return true;
        });
        return new Subscription(() => subscriber.Unsubscribe(name, Handle, CommandFlags.FireAndForget));
    }

    /// <inheritdoc/>
    public void Dispose() => connection.Dispose();

    private bool If(string key, byte[]? expected, Action<ITransaction> action) => Ask(() =>
    {
        var transaction = database.CreateTransaction();
        transaction.AddCondition(expected is null ? Condition.KeyNotExists(key) : Condition.StringEqual(key, expected));
        action(transaction);
        return transaction.Execute();
    });

    private T Ask<T>(Func<T> question)
    {
        try
        {
            return question();
        }
        catch (Exception error) when (error is RedisException or TimeoutException or ObjectDisposedException)
        {
            throw new StoreException($"the store at {address} does not answer: {error.Message}", error);
        }
    }

    private sealed class Subscription(Action end) : IDisposable
    {
        public void Dispose() => end();
    }
}
