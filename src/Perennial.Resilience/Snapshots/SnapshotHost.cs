using System.Globalization;
using System.Net.Sockets;
using Perennial.Core;

namespace Perennial.Resilience.Snapshots;

/// <summary>
/// The snapshot management process (SMP) of paper 02 §3: one a node, outside every trainer's fate. It owns the memory, takes snapshots in
/// from its node's trainers, exchanges shares of parity with other nodes' managers, and serves what is needed to restore.
/// </summary>
public sealed class SnapshotHost : IDisposable
{
    private readonly SnapshotHostOptions options;
    private readonly RankStoreOptions storeOptions;
    private readonly Lock gate = new();
    private readonly Dictionary<int, RankStore> ranks = [];
    private readonly HashSet<Connection> connections = [];
    private readonly List<(SnapshotEndpoint Endpoint, Socket Socket)> listeners = [];
    private readonly CancellationTokenSource stopping = new();
    private readonly TaskCompletionSource<bool> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly List<Thread> threads = [];
    private readonly PeerConnections peers;
    private long lastBusy;

    private SnapshotHost(SnapshotHostOptions options)
    {
        this.options = options;
        peers = new(options.RunId, TimeSpan.FromSeconds(5));
        storeOptions = new(options.Time, options.Lease, options.PieceBytes);
        Checkpoints = new(this);
        lastBusy = options.Time.GetTimestamp();
    }

    /// <summary>Where peers reach it.</summary>
    internal SnapshotEndpoint PeerEndpoint => listeners[^1].Endpoint;

    /// <summary>Runs a manager until it is retired, idle for too long, or cancelled. When it is cancelled its memory stays for a successor.</summary>
    /// <exception cref="PerennialException">Exit 1: the folder or an address cannot be used.</exception>
    public static async Task RunAsync(SnapshotHostOptions options, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(options);
        using var alone = options.OwnSession ? HostProcess.StandAlone() : null;
        using var host = Start(options);
        await using (cancellation.Register(() => host.End(removeMemory: false)).ConfigureAwait(false))
        {
            var isRetired = await host.ended.Task.ConfigureAwait(false);
            // The run is done, not its last disk write.
            if (isRetired) host.Checkpoints.Finish();
            host.Close(isRetired);
        }
    }

    /// <summary>The file that tells the process of the manager of a folder.</summary>
    public static string PidFile(string folder) => folder + ".pid";

    /// <summary>Ends it at once; its memory stays for a successor.</summary>
    public void Dispose()
    {
        // The token's source stays: a thread that waits for a silent peer may look at it later.
        Close(removeMemory: false);
    }

    /// <summary>Starts listening; the caller closes.</summary>
    internal static SnapshotHost Start(SnapshotHostOptions options)
    {
        var host = new SnapshotHost(options);
        try
        {
            if (OperatingSystem.IsWindows()) Directory.CreateDirectory(options.Folder);
            else Directory.CreateDirectory(options.Folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            host.AdoptMemory();
            // For whoever watches over it but did not start it.
            File.WriteAllText(PidFile(options.Folder), Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            foreach (var endpoint in options.PeerEndpoint is null ? new[] { options.Endpoint } : [options.Endpoint, options.PeerEndpoint])
            {
                var socket = endpoint.Listen();
                host.listeners.Add((endpoint.Bound(socket), socket));
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or SocketException)
        {
            host.Close(removeMemory: false);
            throw PerennialException.Failed($"the snapshot manager cannot use {options.Folder} and {options.Endpoint}: {error.Message}", error);
        }
        foreach (var (_, socket) in host.listeners) host.Run($"accept {socket.LocalEndPoint}", () => host.Accept(socket));
        host.Run("leases", host.WatchLeases);
        return host;
    }

    /// <summary>Ends it at once, as a kill would: connections break, memory stays unless it is to go.</summary>
    internal void Close(bool removeMemory)
    {
        stopping.Cancel();
        foreach (var (_, socket) in listeners) socket.Dispose();
        Connection[] open;
        Thread[] running;
        lock (gate) (open, running) = ([.. connections], [.. threads]);
        foreach (var connection in open) connection.Dispose();
        peers.Dispose();
        foreach (var thread in running)
            if (thread != Thread.CurrentThread) thread.Join(TimeSpan.FromSeconds(1));
        foreach (var store in Stores()) store.Dispose();
        lock (gate) ranks.Clear();
        if (removeMemory && Directory.Exists(options.Folder)) Directory.Delete(options.Folder, recursive: true);
        if (removeMemory) File.Delete(PidFile(options.Folder));
        if (removeMemory && options.Endpoint.IsUnix) File.Delete(options.Endpoint.Host);
    }

    internal RankStore Store(int rank)
    {
        lock (gate) return ranks.TryGetValue(rank, out var store) ? store : throw new SnapshotRefusedException(RefusalReason.NotFound, $"this manager has no {SnapshotSlices.NameOf(rank)}");
    }

    internal RankStore[] Stores()
    {
        lock (gate) return [.. ranks.Values.OrderBy(store => store.Rank)];
    }

    internal Guid RunId => options.RunId;

    /// <summary>Checkpoints on disk.</summary>
    internal HostCheckpoints Checkpoints { get; }

    /// <summary>Gives a trainer its rank's memory.</summary>
    /// <returns>The folder that holds it.</returns>
    internal string Hello(HelloMessage hello, object session)
    {
        RankStore store;
        lock (gate)
        {
            if (!ranks.TryGetValue(hello.Identity.Rank, out store!))
                ranks[hello.Identity.Rank] = store = RankStore.Create(options.Folder, hello, storeOptions);
        }
        store.Hello(options.Folder, hello, session);
        return options.Folder;
    }

    internal void Encode(RankStore store, StepMessage message)
    {
        if (!store.CanEncode(message)) throw new SnapshotRefusedException(RefusalReason.NotFound, $"step {message.Step} of {SnapshotSlices.NameOf(message.Rank)} has not landed");
        Run($"parity of {SnapshotSlices.NameOf(message.Rank)}", () => new ParitySender(store, message.Epoch, message.Step, peers, storeOptions, stopping.Token).Run());
    }

    internal void Retire(int rank)
    {
        if (rank < 0)
        {
            End(removeMemory: true);
            return;
        }
        lock (gate)
        {
            if (!ranks.Remove(rank, out var store)) return;
            store.Dispose();
            SharedSlot.Delete(options.Folder, rank);
        }
    }

    internal void Detach(object session)
    {
        foreach (var store in Stores()) store.Detach(session);
    }

    private void End(bool removeMemory) => ended.TrySetResult(removeMemory);

    private void AdoptMemory()
    {
        const string Pattern = "rank-*.head";
        foreach (var head in Directory.EnumerateFiles(options.Folder, Pattern).ToList())
        {
            if (!int.TryParse(Path.GetFileNameWithoutExtension(head)["rank-".Length..], NumberStyles.None, CultureInfo.InvariantCulture, out var rank)) continue;
            if (RankStore.Adopt(options.Folder, rank, options.RunId, storeOptions) is { } store) ranks[rank] = store;
            else SharedSlot.Delete(options.Folder, rank);
        }
    }

    /// <summary>Runs a body on a thread of its own, unless the manager is ending.</summary>
    internal void Run(string name, Action body)
    {
        var thread = new Thread(() =>
        {
            try
            {
                body();
            }
            finally
            {
                lock (gate) threads.Remove(Thread.CurrentThread);
            }
        })
        { IsBackground = true, Name = name };
        lock (gate)
        {
            if (stopping.IsCancellationRequested) return;
            threads.Add(thread);
            thread.Start();
        }
    }

    private void Accept(Socket listener)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                var socket = listener.Accept();
                if (socket.AddressFamily != AddressFamily.Unix) socket.NoDelay = true;
                var connection = new Connection(socket);
                lock (gate) connections.Add(connection);
                Run("session", () => Serve(connection));
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (SocketException)
            {
                // A client gave up before it was accepted, or there are no handles for now; nothing tells when there are.
                stopping.Token.WaitHandle.WaitOne(1);
            }
        }
    }

    private void Serve(Connection connection)
    {
        try
        {
            new HostSession(this, connection).Run();
        }
        finally
        {
            connection.Dispose();
            lock (gate)
            {
                connections.Remove(connection);
                lastBusy = options.Time.GetTimestamp();
            }
        }
    }

    private void WatchLeases()
    {
        while (!stopping.Token.WaitHandle.WaitOne(options.Lease / 20))
        {
            foreach (var store in Stores()) store.CheckLease();
            peers.Trim();
            lock (gate)
                if (connections.Count == 0 && options.Time.GetElapsedTime(lastBusy) > options.Idle) End(removeMemory: true);
        }
    }
}
