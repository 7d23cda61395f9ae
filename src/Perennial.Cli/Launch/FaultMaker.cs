using System.Globalization;
using Perennial.Resilience.Chaos;

namespace Perennial.Cli.Launch;

/// <summary>A fault that was made.</summary>
/// <param name="Text">To whom, in words.</param>
/// <param name="Workers">Numbers of the workers that it hit.</param>
internal sealed record FaultMade(string Text, IReadOnlyList<int> Workers);

/// <summary>Does to workers, nodes and files what a plan of faults says, and undoes what passes.</summary>
/// <param name="nodes">The run's nodes; none where no snapshots are taken.</param>
/// <param name="nodeOf">The node of a worker's number.</param>
/// <param name="folder">The run's folder.</param>
internal sealed class FaultMaker(IReadOnlyList<NodeManager> nodes, Func<int, NodeManager?> nodeOf, string folder)
{
    // A process that has just started has not said yet that it takes signals.
    private static readonly TimeSpan Grown = TimeSpan.FromSeconds(3);
    private readonly List<(WorkerProcess Worker, ChaosKind Kind, long Until)> passing = [];
    private long ticks, managersFullUntil;

    /// <summary>Nodes that are down: their managers are not to be started before their workers are.</summary>
    public HashSet<NodeManager> Down { get; } = [];

    /// <summary>Lets what has passed pass.</summary>
    public void Tick()
    {
        ticks++;
        if (managersFullUntil > 0 && managersFullUntil <= Environment.TickCount64) LimitManagers(null, until: 0);
        foreach (var one in passing.ToList())
        {
            if (one.Worker.HasExited) passing.Remove(one);
            else if (one.Until <= Environment.TickCount64)
            {
                passing.Remove(one);
                if (one.Kind == ChaosKind.Full) one.Worker.LimitFiles(null);
                else one.Worker.GoOn();
            }
            // One tick of four: a quarter of the time.
            else if (one.Kind == ChaosKind.Slow && ticks % 4 == 0) one.Worker.GoOn();
            else if (one.Kind == ChaosKind.Slow && ticks % 4 == 1) one.Worker.Hang();
        }
    }

    /// <summary>Undoes everything that passes.</summary>
    public void End()
    {
        foreach (var (worker, kind, _) in passing)
        {
            if (kind == ChaosKind.Full) worker.LimitFiles(null);
            else worker.GoOn();
        }
        passing.Clear();
        if (managersFullUntil > 0) LimitManagers(null, until: 0);
    }

    /// <summary>Makes a fault; says to whom, or null while it cannot be made.</summary>
    public FaultMade? Make(ChaosFault fault, IReadOnlyList<WorkerProcess> workers)
    {
        var free = workers.Where(worker => !passing.Any(one => one.Worker == worker)).ToList();
        var first = (int)(fault.Draw * Math.Max(1, free.Count));
        var victims = Enumerable.Range(0, Math.Min(fault.Count, free.Count)).Select(i => free[(first + i) % free.Count]).ToList();
        switch (fault.Kind)
        {
            case ChaosKind.Kill or ChaosKind.Stop:
                if (free.Count <= fault.Count) return null;
                foreach (var victim in victims)
                {
                    if (fault.Kind == ChaosKind.Kill) victim.KillNow();
                    else Begin(victim, fault, worker => worker.Hang());
                }
                return Made(string.Join(" and ", victims), victims);
            case ChaosKind.All:
                foreach (var worker in workers) worker.KillNow();
                return Made($"all {workers.Count} workers", workers);
            case ChaosKind.Node or ChaosKind.Outage:
                if (nodes.Count <= fault.Count || nodes.Any(node => !node.IsAlive)) return null;
                var lost = Enumerable.Range(0, fault.Count).Select(i => nodes[((int)(fault.Draw * nodes.Count) + i) % nodes.Count]).ToList();
                var killed = workers.Where(worker => fault.Kind == ChaosKind.Outage || lost.Contains(nodeOf(worker.Number)!)).ToList();
                foreach (var worker in killed) worker.KillNow();
                foreach (var node in lost)
                {
                    Down.Add(node);
                    node.KillNow();
                    node.ForgetMemory();
                }
                return Made($"{string.Join(" and ", lost.Select(node => node.Node))} with {(lost.Count == 1 ? "its" : "their")} memory{(fault.Kind == ChaosKind.Outage ? $", and all {workers.Count} workers" : "")}", killed);
            case ChaosKind.Manager:
                if (nodes.Count == 0 || nodes.Any(node => !node.IsAlive)) return null;
                var manager = nodes[(int)(fault.Draw * nodes.Count)];
                var text = $"{manager}";
                manager.KillNow();
                return Made(text, []);
            case ChaosKind.Slow:
                if (victims.Count == 0) return null;
                Begin(victims[0], fault, worker => worker.Hang());
                return Made($"{victims[0]}", victims);
            case ChaosKind.Drop:
                if (victims.Count == 0 || workers.Any(worker => worker.Age < Grown)) return null;
                victims[0].DropConnections();
                return Made($"{victims[0]}", victims);
            case ChaosKind.Full:
                if (workers.Any(worker => worker.Age < Grown || passing.Any(one => one.Worker == worker))) return null;
                foreach (var worker in workers) Begin(worker, fault, one => one.LimitFiles(0));
                LimitManagers(0, Environment.TickCount64 + (long)fault.For.TotalMilliseconds);
                return Made($"all {workers.Count} workers{(nodes.Count > 0 ? " and the snapshot managers" : "")}", workers);
            default:
                return Flip(fault.Draw) is { } flipped ? Made(flipped, []) : null;
        }
    }

    private void LimitManagers(ulong? bytes, long until)
    {
        foreach (var node in nodes) node.LimitFiles(bytes);
        managersFullUntil = until;
    }

    private static FaultMade Made(string text, IEnumerable<WorkerProcess> workers) => new(text, [.. workers.Select(worker => worker.Number)]);

    private void Begin(WorkerProcess worker, ChaosFault fault, Action<WorkerProcess> begin)
    {
        begin(worker);
        passing.Add((worker, fault.Kind, Environment.TickCount64 + (long)fault.For.TotalMilliseconds));
    }

    /// <summary>One bit of a snapshot or, for half of the draws, of the newest checkpoint.</summary>
    private string? Flip(double draw)
    {
        var snapshots = nodes.Where(node => Directory.Exists(node.Folder)).SelectMany(node => Directory.EnumerateFiles(node.Folder, "rank-*.*")).Where(file => !file.EndsWith(".head", StringComparison.Ordinal)).Order(StringComparer.Ordinal).ToList();
        var checkpoints = Path.Combine(folder, "checkpoints");
        var saved = !Directory.Exists(checkpoints) ? [] : Directory.EnumerateDirectories(checkpoints, "step-*").OrderBy(Directory.GetLastWriteTimeUtc).TakeLast(1)
            .SelectMany(newest => Directory.EnumerateFiles(newest, "*.safetensors", SearchOption.AllDirectories)).ToList();
        var among = draw < 0.5 || saved.Count == 0 ? snapshots : saved;
        if (among.Count == 0) return null;
        var fine = draw * 2 % 1;
        var file = among[(int)(fine * among.Count)];
        try
        {
            using var handle = File.OpenHandle(file, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            var at = (long)(fine * among.Count % 1 * RandomAccess.GetLength(handle));
            var one = new byte[1];
            RandomAccess.Read(handle, one, at);
            one[0] ^= (byte)(1 << (int)(at % 8));
            RandomAccess.Write(handle, one, at);
            return string.Create(CultureInfo.InvariantCulture, $"bit {at % 8} of byte {at} of {file}");
        }
        catch (IOException)
        {
            // The file went away between the look and the flip.
            return null;
        }
    }
}
