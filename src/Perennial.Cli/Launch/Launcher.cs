using System.Diagnostics;
using Perennial.Core;
using Perennial.Resilience.Chaos;

namespace Perennial.Cli.Launch;

/// <summary>What a launcher is asked for.</summary>
internal sealed record LauncherOptions
{
    public required int Workers { get; init; }

    /// <summary>The command line of a worker.</summary>
    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>Environment of all workers.</summary>
    public required IReadOnlyDictionary<string, string> Variables { get; init; }

    /// <summary>How long a dead worker's place stays empty; null leaves it empty for good.</summary>
    public TimeSpan? Respawn { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Whether the death of one worker ends all: every one is started again.</summary>
    public bool RestartAll { get; init; }

    /// <summary>Workers started in the place of dead ones, in all, before the launcher gives up.</summary>
    public int MostRespawns { get; init; } = 100;

    /// <summary>Faults on purpose.</summary>
    public ChaosPlan? Chaos { get; init; }

    /// <summary>The nodes whose share of the workers is started, each with its snapshot manager; none where no snapshots are taken.</summary>
    public IReadOnlyList<NodeManager> Nodes { get; init; } = [];

    /// <summary>The run's folder.</summary>
    public string Folder { get; init; } = "";

    /// <summary>The node of a worker: each has the same share of them, as far as that goes.</summary>
    public NodeManager? NodeOf(int number) => Nodes.Count == 0 ? null : Nodes[number * Nodes.Count / Workers];
}

/// <summary>Starts workers, watches them, puts new ones in the place of dead ones, and ends when the run does.</summary>
/// <param name="options">What is asked for.</param>
/// <param name="line">Takes lines of workers' standard output.</param>
/// <param name="say">Takes lines for people.</param>
/// <param name="fault">Told of every fault that was made on purpose.</param>
internal sealed class Launcher(LauncherOptions options, Action<string> line, Action<string> say, Action<ChaosFault, FaultMade> fault)
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(10);
    private readonly List<WorkerProcess> workers = [];
    private readonly List<(int Number, long At)> empty = [];
    private readonly FaultMaker faults = new(options.Nodes, options.NodeOf, options.Folder);
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private int respawns;
    private volatile int training;
    private long committed;

    /// <summary>
    /// Says which step was committed last and by how many processes: faults on purpose are made only while every worker trains, so that a new one is not counted on
    /// before it is there, however slow the machine.
    /// </summary>
    public void Stepped(long step, int processes)
    {
        Volatile.Write(ref committed, step);
        training = processes;
    }

    /// <summary>Runs to the end.</summary>
    /// <returns>The exit code of the run.</returns>
    public ExitCode Run(CancellationToken cancellation)
    {
        try
        {
            for (var number = 0; number < options.Workers; number++) Start(number);
            return Watch(cancellation);
        }
        finally
        {
            faults.End();
            foreach (var worker in workers) worker.Dispose();
        }
    }

    private ExitCode Watch(CancellationToken cancellation)
    {
        using var planned = (options.Chaos?.Faults() ?? []).GetEnumerator();
        var awaiting = new Queue<ChaosFault>(options.Chaos?.StepFaults() ?? []);
        var (more, due, asked, completed) = (planned.MoveNext(), -1.0, false, false);
        while (workers.Count > 0 || (empty.Count > 0 && !completed && !asked))
        {
            if (cancellation.IsCancellationRequested && !asked)
            {
                asked = true;
                foreach (var worker in workers) worker.Ask();
            }
            foreach (var gone in workers.Where(worker => worker.HasExited).ToList())
            {
                gone.Wait();
                workers.Remove(gone);
                if (Ended(gone, ref completed) is { } code) return code;
                gone.Dispose();
            }
            if (!completed && !asked)
            {
                Refill();
                Revive();
            }
            faults.Tick();
            if (awaiting.TryPeek(out var next) && Volatile.Read(ref committed) >= next.Step && !completed && !asked && Inflict(next)) awaiting.Dequeue();
            if (more && training > 0 && !completed && !asked)
            {
                if (due < 0) due = clock.Elapsed.TotalSeconds + planned.Current.After.TotalSeconds;
                if (clock.Elapsed.TotalSeconds >= due && Inflict(planned.Current))
                {
                    more = planned.MoveNext();
                    due = more ? due + planned.Current.After.TotalSeconds : due;
                }
            }
            // Processes, managers, committed steps and times are all looked at; nothing announces all four.
            Thread.Sleep(Tick);
        }
        return asked && !completed ? ExitCode.Interrupted : ExitCode.Done;
    }

    /// <summary>What a worker's end means for the run: null to go on.</summary>
    private ExitCode? Ended(WorkerProcess worker, ref bool completed)
    {
        switch (worker.ExitCode)
        {
            case (int)ExitCode.Done:
                completed = true;
                return null;
            case (int)ExitCode.Interrupted:
                return null;
            case (int)ExitCode.Failed or (int)ExitCode.Usage or (int)ExitCode.Damaged or (int)ExitCode.Missing:
                // A worker that said why would say it again.
                return (ExitCode)worker.ExitCode;
            default:
                if (completed) return null;
                say($"{worker} died (exit {worker.ExitCode}); {workers.Count} of {options.Workers} are left");
                if (options.RestartAll) foreach (var other in workers) other.KillNow();
                if (options.Respawn is { } after && respawns < options.MostRespawns) empty.Add((worker.Number, clock.ElapsedMilliseconds + (long)after.TotalMilliseconds));
                else if (workers.Count == 0) return ExitCode.Failed;
                return null;
        }
    }

    private void Refill()
    {
        // With nobody left there is nothing to wait for.
        if (workers.Count == 0) for (var i = 0; i < empty.Count; i++) empty[i] = (empty[i].Number, 0);
        foreach (var place in empty.Where(place => place.At <= clock.ElapsedMilliseconds).ToList())
        {
            empty.Remove(place);
            respawns++;
            Start(place.Number);
        }
    }

    /// <summary>Puts a new manager in the place of one that died; it takes over what is in the node's memory.</summary>
    private void Revive()
    {
        foreach (var node in options.Nodes.Where(node => !node.IsAlive && !faults.Down.Contains(node)))
        {
            say($"the snapshot manager of {node.Node} died; another takes over its memory");
            node.Start();
        }
    }

    private void Start(int number)
    {
        if (options.NodeOf(number) is { } home && faults.Down.Remove(home)) home.Start();
        var variables = new Dictionary<string, string>(options.Variables, StringComparer.Ordinal)
        {
            ["RANK"] = $"{number}", ["LOCAL_RANK"] = $"{number}", ["WORLD_SIZE"] = $"{options.Workers}", ["LOCAL_WORLD_SIZE"] = $"{options.Workers}",
            [WorkerGroup.NodeVariable] = options.NodeOf(number)?.Node ?? "",
        };
        workers.Add(WorkerProcess.Start(number, options.Arguments, variables, line, text => say($"[{number}] {text}")));
    }

    /// <summary>Makes a fault; false while not all workers are there to suffer it.</summary>
    private bool Inflict(ChaosFault wanted)
    {
        if (empty.Count > 0 || training < workers.Count || faults.Make(wanted, workers) is not { } made) return false;
        // After the loss of all, the next fault waits for a step.
        if (wanted.Kind is ChaosKind.All or ChaosKind.Outage) training = 0;
        fault(wanted, made);
        return true;
    }
}
