using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Perennial.Resilience.Membership;

/// <summary>The store within one process, for tests and for groups of threads. Leases run by the given clock.</summary>
/// <param name="time">The clock of leases; the system's by default.</param>
public sealed class MemoryStore(TimeProvider? time = null) : IMembershipStore
{
    private readonly object gate = new();
    private readonly TimeProvider time = time ?? TimeProvider.System;
    private readonly Dictionary<string, (byte[] Value, DateTimeOffset Until)> entries = [];
    private readonly List<(string Channel, Action<byte[]> Callback)> subscribers = [];

    /// <inheritdoc/>
    public void Set(string key, ReadOnlySpan<byte> value) => Put(key, value.ToArray(), DateTimeOffset.MaxValue);

    /// <inheritdoc/>
    public byte[]? Get(string key)
    {
        lock (gate) return Live(key);
    }

    /// <inheritdoc/>
    public byte[]?[] GetMany(IReadOnlyList<string> keys)
    {
        lock (gate) return [.. keys.Select(Live)];
    }

    /// <inheritdoc/>
    public byte[] Wait(string key, TimeSpan timeout, CancellationToken cancellation = default)
    {
        using var waking = cancellation.UnsafeRegister(static self => ((MemoryStore)self!).Wake(), this);
        var clock = Stopwatch.StartNew();
        lock (gate)
        {
            while (true)
            {
                cancellation.ThrowIfCancellationRequested();
                if (Live(key) is { } value) return value;
                var rest = timeout - clock.Elapsed;
                if (rest <= TimeSpan.Zero) throw new TimeoutException($"no value for '{key}' within {timeout.TotalMilliseconds} ms");
                Monitor.Wait(gate, rest + TimeSpan.FromMilliseconds(1));
            }
        }
    }

    /// <inheritdoc/>
    public bool CompareAndSet(string key, byte[]? expected, byte[] value) =>
        When(key, expected, () => Put(key, value, DateTimeOffset.MaxValue));

    /// <inheritdoc/>
    public bool TryLease(string key, byte[] value, TimeSpan lease) => When(key, null, () => Put(key, value, time.GetUtcNow() + lease));

    /// <inheritdoc/>
    public bool Renew(string key, byte[] expected, byte[] value, TimeSpan lease) => When(key, expected, () => Put(key, value, time.GetUtcNow() + lease));

    /// <inheritdoc/>
    public bool Release(string key, byte[] expected) => When(key, expected, () => entries.Remove(key));

    /// <inheritdoc/>
    public long Increment(string key)
    {
        lock (gate)
        {
            var next = Live(key) is { } value ? long.Parse(Encoding.ASCII.GetString(value), CultureInfo.InvariantCulture) + 1 : 1;
            Put(key, Encoding.ASCII.GetBytes(next.ToString(CultureInfo.InvariantCulture)), DateTimeOffset.MaxValue);
            return next;
        }
    }

    /// <inheritdoc/>
    public void Publish(string channel, ReadOnlySpan<byte> message)
    {
        Action<byte[]>[] callbacks;
        lock (gate) callbacks = [.. subscribers.Where(one => one.Channel == channel).Select(one => one.Callback)];
        var copy = message.ToArray();
        foreach (var callback in callbacks) callback(copy);
    }

    /// <inheritdoc/>
    public IDisposable Subscribe(string channel, Action<byte[]> callback)
    {
        lock (gate) subscribers.Add((channel, callback));
        return new Subscription(() =>
        {
            lock (gate) subscribers.Remove((channel, callback));
        });
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (gate) subscribers.Clear();
    }

    private byte[]? Live(string key) => entries.TryGetValue(key, out var entry) && entry.Until > time.GetUtcNow() ? entry.Value : null;

    private void Put(string key, byte[] value, DateTimeOffset until)
    {
        lock (gate)
        {
            entries[key] = (value, until);
            Monitor.PulseAll(gate);
        }
    }

    private bool When(string key, byte[]? expected, Action action)
    {
        lock (gate)
        {
            var value = Live(key);
            if (expected is null ? value is not null : value is null || !value.AsSpan().SequenceEqual(expected)) return false;
            action();
            return true;
        }
    }

    private void Wake()
    {
        lock (gate) Monitor.PulseAll(gate);
    }

    private sealed class Subscription(Action end) : IDisposable
    {
        public void Dispose() => end();
    }
}
