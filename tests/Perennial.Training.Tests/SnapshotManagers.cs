using System.Diagnostics;
using System.Globalization;
using Perennial.Resilience.Snapshots;
using Perennial.Training.Memory;

namespace Perennial.Training.Tests;

/// <summary>Snapshot managers of several nodes, all in this process.</summary>
internal sealed class SnapshotManagers : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly string place;
    private readonly Guid run = Guid.NewGuid();
    private readonly (CancellationTokenSource Stop, Task Done)[] hosts;

    public SnapshotManagers(string place, int nodes, string parity)
    {
        this.place = place;
        hosts = [.. Enumerable.Range(0, nodes).Select(Start)];
        Settings = new MemorySettings { RunId = run, Parity = ParityChoice.Parse(parity)!, Managers = Enumerable.Range(0, nodes).ToDictionary(Name, Endpoint, StringComparer.Ordinal) };
    }

    public MemorySettings Settings { get; }

    public string NodeOf(int rank, int ranks) => Name(rank * hosts.Length / ranks);

    /// <summary>A node's manager goes with its memory; another takes its place.</summary>
    public async Task Lose(int node)
    {
        await End(node);
        Directory.Delete(Folder(node), recursive: true);
        hosts[node] = Start(node);
    }

    /// <summary>Flips a bit of one rank's data of the newest step that all ranks have whole; says which step that is.</summary>
    public long Flip()
    {
        var all = Enumerable.Range(0, hosts.Length).Zip(Held()).SelectMany(node => node.Second.Select(rank => (Node: node.First, Rank: rank))).ToList();
        var newest = all.Min(one => one.Rank.Slots.Max(slot => slot.Step));
        var (victim, held) = all[^1];
        var slot = held.Slots.Single(slot => slot.Kind == SlotKind.Data && slot.Step == newest).Slot;
        using var file = File.OpenHandle(Path.Combine(Folder(victim), string.Create(CultureInfo.InvariantCulture, $"rank-{held.Rank}.data-{(char)('a' + slot)}")), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        var one = new byte[1];
        RandomAccess.Read(file, one, 100);
        one[0] ^= 4;
        RandomAccess.Write(file, one, 100);
        return newest;
    }

    /// <summary>Returns when every rank that has memory has a trainer, and every node has some; managers are asked, for they announce nothing.</summary>
    public void AwaitTrainers()
    {
        for (var clock = Stopwatch.StartNew(); !Held().All(ranks => ranks.Count > 0 && ranks.All(rank => rank.TrainerAlive)); Thread.Sleep(5))
            if (clock.Elapsed > Patience) throw new TimeoutException("the ranks do not attach");
    }

    /// <summary>Whether a step, or a later one, is committed on all.</summary>
    public bool HaveStep(long step) => Held().All(ranks => ranks.Count > 0 && ranks.All(rank => rank.Slots.Any(slot => slot is { Kind: SlotKind.Data, State: SlotState.Committed } && slot.Step >= step)));

    /// <summary>Ends those that are there still.</summary>
    public void Dispose()
    {
        for (var node = 0; node < hosts.Length; node++)
            if (!hosts[node].Done.IsCompleted) End(node).GetAwaiter().GetResult();
    }

    private List<IReadOnlyList<RankInventory>> Held() => [.. Enumerable.Range(0, hosts.Length).Select(node =>
    {
        using var client = SnapshotClient.Connect(Endpoint(node), run, Patience);
        return client.Inventory();
    })];

    private (CancellationTokenSource Stop, Task Done) Start(int node)
    {
        var stop = new CancellationTokenSource();
        var options = new SnapshotHostOptions { RunId = run, Folder = Folder(node), Endpoint = Endpoint(node), OwnSession = false };
        var done = Task.Run(() => SnapshotHost.RunAsync(options, stop.Token));
        HostProcess.AwaitAnswer(Name(node), () => done.IsCompleted ? "ended" : null, Endpoint(node), run, Patience);
        return (stop, done);
    }

    private async Task End(int node)
    {
        await hosts[node].Stop.CancelAsync();
        await hosts[node].Done;
        hosts[node].Stop.Dispose();
    }

    private static string Name(int node) => string.Create(CultureInfo.InvariantCulture, $"node{node}");

    private string Folder(int node) => Path.Combine(place, Name(node));

    private SnapshotEndpoint Endpoint(int node) => new(Path.Combine(place, Name(node) + ".s"), -1);
}
