using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Perennial.Resilience.Snapshots;
using Perennial.Resilience.Tests.Coding;

namespace Perennial.Resilience.Tests.Snapshots;

/// <summary>A group of n ranks, one a node, all on this machine; what every process of a test must agree on.</summary>
internal sealed record ClusterShape(Guid RunId, string Root, int Ranks, int Losses, int Bytes, int Lag = 0)
{
    public const int Bucket = 4096;
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    public ShardingGroup Group => new([.. Enumerable.Range(0, Ranks)], Losses);

    public IReadOnlyDictionary<int, SnapshotEndpoint> Managers => Enumerable.Range(0, Ranks).ToDictionary(rank => rank, Endpoint);

    public SnapshotEndpoint Endpoint(int rank) => new(Path.Combine(Root, $"{rank}.sock"), -1);

    public string Folder(int rank) => Path.Combine(Root, $"node-{rank}");

    public SlotIdentity Identity(int rank) => new(RunId, rank, 7, Bytes, Losses == 0 ? 1 : Ranks, Losses == 0 ? 0 : rank, Losses);

    public GroupMembers? Members => Losses == 0 ? null : new(Group.Ranks, [.. Group.Ranks.Select(Endpoint)], Losses, Lag);

    public SnapshotAgentOptions AgentOptions(int rank, ulong epoch) => new()
    {
        Identity = Identity(rank), Epoch = epoch, Manager = Endpoint(rank), Group = Members, BucketBytes = Bucket, Niceness = 0, Heartbeat = TimeSpan.FromMilliseconds(100), Timeout = Patience,
    };

    public GroupCommit Coordinator(ulong epoch) => new(RunId, epoch, Losses == 0 ? [.. Group.Ranks.Select(rank => new ShardingGroup([rank], 0))] : [Group], Managers, Patience);

    public SnapshotRestore Restore(int rank) => new(Identity(rank), Group, Managers, TimeSpan.FromSeconds(2));
}

/// <summary>A rank's state in native memory: different for every rank and step.</summary>
internal sealed unsafe class RankState(int bytes) : IDisposable
{
    private readonly byte* memory = (byte*)NativeMemory.AllocZeroed((nuint)bytes);

    public StateRange Range => new((nint)memory, bytes);

    public Span<byte> Span => new(memory, bytes);

    public static byte[] Truth(int rank, long step, int bytes) => Reference.Random(bytes, (ulong)(rank * 100_000 + step + 1_000_000));

    public void Fill(int rank, long step) => Truth(rank, step, bytes).CopyTo(Span);

    public void Dispose() => NativeMemory.Free(memory);
}

/// <summary>The shape at work: managers and agents inside the test's process, each replaceable by a process of its own.</summary>
internal sealed class Cluster : IDisposable
{
    private readonly SnapshotHost?[] hosts;
    private readonly SnapshotAgent?[] agents;
    private readonly RankState[] states;
    private readonly List<Process> processes = [];

    public Cluster(int ranks, int losses, int bytes = 50_000, int lag = 0)
    {
        var run = Guid.NewGuid();
        Shape = new(run, SnapshotHostOptions.DefaultFolder(run, "test"), ranks, losses, bytes, lag);
        Directory.CreateDirectory(Shape.Root);
        (hosts, agents) = (new SnapshotHost?[ranks], new SnapshotAgent?[ranks]);
        states = [.. Enumerable.Range(0, ranks).Select(_ => new RankState(bytes))];
    }

    public ClusterShape Shape { get; }

    public ulong Epoch { get; set; } = 1;

    public List<string> Alarms { get; } = [];

    public static SnapshotHostOptions HostOptions(Guid runId, string folder, string socket) =>
        new() { RunId = runId, Folder = folder, Endpoint = new(socket, -1), OwnSession = false, PieceBytes = ClusterShape.Bucket };

    /// <summary>All managers and agents, inside this process.</summary>
    public static Cluster Started(int ranks, int losses, int bytes = 50_000, int lag = 0)
    {
        var cluster = new Cluster(ranks, losses, bytes, lag);
        for (var rank = 0; rank < ranks; rank++) cluster.StartHost(rank);
        for (var rank = 0; rank < ranks; rank++) cluster.Attach(rank);
        return cluster;
    }

    public SnapshotHost StartHost(int rank, Func<SnapshotHostOptions, SnapshotHostOptions>? change = null) =>
        hosts[rank] = SnapshotHost.Start((change ?? (options => options))(HostOptions(Shape.RunId, Shape.Folder(rank), Shape.Endpoint(rank).Host)));

    public Process StartHostProcess(int rank)
    {
        var process = HostProcess.Start(ChildProcess.Command("host", Shape.RunId.ToString(), Shape.Folder(rank), Shape.Endpoint(rank).Host), Shape.Endpoint(rank), Shape.RunId, ClusterShape.Patience);
        processes.Add(process);
        return process;
    }

    public Process StartTrainerProcess(int rank)
    {
        var process = Start("trainer", rank);
        process.WaitFor("attached");
        return process;
    }

    public Process StartCoordinatorProcess() => Start("coordinator", 0);

    public SnapshotAgent Attach(int rank, Func<SnapshotAgentOptions, SnapshotAgentOptions>? change = null)
    {
        agents[rank]?.Dispose();
        var options = Shape.AgentOptions(rank, Epoch) with { OnAlarm = text => { lock (Alarms) Alarms.Add(text); } };
        return agents[rank] = SnapshotAgent.Attach((change ?? (same => same))(options));
    }

    public SnapshotAgent Agent(int rank) => agents[rank]!;

    public SnapshotClient Client(int rank) => SnapshotClient.Connect(Shape.Endpoint(rank), Shape.RunId, ClusterShape.Patience);

    /// <summary>Offers a step and waits for the copy.</summary>
    public SnapshotOffer Take(int rank, long step)
    {
        var offer = Offer(rank, step);
        agents[rank]!.WaitCopied();
        return offer;
    }

    public SnapshotOffer Offer(int rank, long step)
    {
        states[rank].Fill(rank, step);
        return agents[rank]!.Offer(step, [states[rank].Range]);
    }

    public void TakeAndCommit(long step)
    {
        for (var rank = 0; rank < Shape.Ranks; rank++) Assert.Equal("", Take(rank, step).Reason);
        Commit(step);
    }

    public void Commit(long step)
    {
        using var coordinator = Shape.Coordinator(Epoch);
        Assert.Equal(new(CommitOutcome.Committed, ""), coordinator.Commit(step, ClusterShape.Patience));
    }

    public void KillTrainer(int rank)
    {
        agents[rank]?.Dispose();
        agents[rank] = null;
    }

    /// <summary>Ends a manager inside this process without any goodbye.</summary>
    public void KillHost(int rank)
    {
        hosts[rank]?.Dispose();
        hosts[rank] = null;
    }

    /// <summary>Manager, trainer and memory go together.</summary>
    public void KillNode(int rank)
    {
        KillTrainer(rank);
        KillHost(rank);
        Forget(rank);
    }

    /// <summary>The node's memory is gone.</summary>
    public void Forget(int rank)
    {
        if (Directory.Exists(Shape.Folder(rank))) Directory.Delete(Shape.Folder(rank), recursive: true);
    }

    public RestoreChoice Choose(TimeSpan? patience = null)
    {
        using var coordinator = Shape.Coordinator(Epoch);
        return coordinator.Choose(patience ?? ClusterShape.Patience);
    }

    /// <summary>Restores a rank and compares every byte.</summary>
    public RestoreReport RestoreAndCheck(int rank, long step)
    {
        using var destination = new RankState(Shape.Bytes);
        var report = Shape.Restore(rank).Run(step, agents[rank], destination.Range.Address);
        if (report.Source != RestoreSource.Disk) Assert.True(destination.Span.SequenceEqual(RankState.Truth(rank, step, Shape.Bytes)), $"rank {rank} differs: {string.Join("; ", report.Lines)}");
        return report;
    }

    /// <summary>Flips one bit of a slot's file under the manager's eyes.</summary>
    public void Flip(int rank, SlotKind kind, int slot, long offset)
    {
        using var memory = SharedSlot.TryOpen(Shape.Folder(rank), rank, Shape.RunId, out var problem) ?? throw new InvalidOperationException(problem);
        unsafe
        {
            memory.Bytes(kind, slot)[offset] ^= 0x10;
        }
    }

    public int SlotOf(int rank, SlotKind kind, long step)
    {
        using var memory = SharedSlot.TryOpen(Shape.Folder(rank), rank, Shape.RunId, out var problem) ?? throw new InvalidOperationException(problem);
        return memory.Find(kind, step);
    }

    public void Dispose()
    {
        foreach (var agent in agents) agent?.Dispose();
        foreach (var process in processes.Where(process => !process.HasExited)) process.KillNow();
        foreach (var host in hosts) host?.Dispose();
        foreach (var state in states) state.Dispose();
        Directory.Delete(Shape.Root, recursive: true);
    }

    private Process Start(string role, int rank)
    {
        var process = ChildProcess.Start(role, Shape.RunId.ToString(), Shape.Root, Text(Shape.Ranks), Text(Shape.Losses), Text(Shape.Bytes), Text(rank));
        processes.Add(process);
        return process;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
