using System.Diagnostics;

namespace Perennial.Resilience.Snapshots;

/// <summary>Connections to other nodes' managers, kept from one step's parity to the next. One that rests for a while is closed.</summary>
/// <param name="runId">The run.</param>
/// <param name="timeout">For a connection and every reply.</param>
internal sealed class PeerConnections(Guid runId, TimeSpan timeout) : IDisposable
{
    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(10);
    private readonly Lock gate = new();
    private readonly List<(SnapshotEndpoint Endpoint, SnapshotClient Client, long Since)> resting = [];
    private bool closed;

    /// <summary>A connection that nobody else uses meanwhile.</summary>
    /// <exception cref="IOException">The manager cannot be reached.</exception>
    public SnapshotClient Take(SnapshotEndpoint endpoint)
    {
        lock (gate)
        {
            var index = resting.FindLastIndex(one => one.Endpoint == endpoint);
            if (index >= 0)
            {
                var client = resting[index].Client;
                resting.RemoveAt(index);
                return client;
            }
        }
        return SnapshotClient.Connect(endpoint, runId, timeout);
    }

    /// <summary>Gives a whole one back.</summary>
    public void Give(SnapshotEndpoint endpoint, SnapshotClient client)
    {
        lock (gate)
        {
            if (!closed)
            {
                resting.Add((endpoint, client, Stopwatch.GetTimestamp()));
                return;
            }
        }
        client.Dispose();
    }

    /// <summary>Closes what has rested for long: two managers must not keep each other busy.</summary>
    public void Trim()
    {
        lock (gate)
        {
            foreach (var (_, client, _) in resting.Where(one => Stopwatch.GetElapsedTime(one.Since) > Rest)) client.Dispose();
            resting.RemoveAll(one => Stopwatch.GetElapsedTime(one.Since) > Rest);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (gate)
        {
            closed = true;
            foreach (var (_, client, _) in resting) client.Dispose();
            resting.Clear();
        }
    }
}
