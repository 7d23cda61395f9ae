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
}

/// <summary>Starts workers, watches them, puts new ones in the place of dead ones, and ends when the run does.</summary>
/// <param name="options">What is asked for.</param>
/// <param name="line">Takes lines of workers' standard output.</param>
/// <param name="say">Takes lines for people.</param>
/// <param name="fault">Told of every fault that was made on purpose.</param>
internal sealed class Launcher(LauncherOptions options, Action<string> line, Action<string> say, Action<ChaosFault, IReadOnlyList<WorkerProcess>> fault)
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(10);
    private readonly List<WorkerProcess> workers = [];
    private readonly List<(int Number, long At)> empty = [];
    private readonly List<(WorkerProcess Worker, long Until)> hanging = [];
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private int respawns;
    private volatile int training;

    /// <summary>
    /// Says how many processes took the newest step: faults on purpose are made only while every worker trains, so that a new one is not counted on
    /// before it is there, however slow the machine.
    /// </summary>
    public void Stepped(int processes) => training = processes;

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
            foreach (var (worker, _) in hanging) worker.GoOn();
            foreach (var worker in workers) worker.Dispose();
        }
    }

    private ExitCode Watch(CancellationToken cancellation)
    {
        using var faults = (options.Chaos?.Faults() ?? []).GetEnumerator();
        var (more, due, asked, completed) = (faults.MoveNext(), -1.0, false, false);
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
                hanging.RemoveAll(pair => pair.Worker == gone);
                if (Ended(gone, ref completed) is { } code) return code;
                gone.Dispose();
            }
            if (!completed && !asked) Refill();
            foreach (var (worker, _) in hanging.Where(pair => pair.Until <= clock.ElapsedMilliseconds).ToList())
            {
                worker.GoOn();
                hanging.RemoveAll(pair => pair.Worker == worker);
            }
            if (more && training > 0 && !completed && !asked)
            {
                if (due < 0) due = clock.Elapsed.TotalSeconds + faults.Current.After.TotalSeconds;
                if (clock.Elapsed.TotalSeconds >= due && Inflict(faults.Current))
                {
                    more = faults.MoveNext();
                    due = more ? due + faults.Current.After.TotalSeconds : due;
                }
            }
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
        foreach (var place in empty.Where(place => place.At <= clock.ElapsedMilliseconds).ToList())
        {
            empty.Remove(place);
            respawns++;
            Start(place.Number);
        }
    }

    private void Start(int number)
    {
        var variables = new Dictionary<string, string>(options.Variables, StringComparer.Ordinal)
        {
            ["RANK"] = $"{number}", ["LOCAL_RANK"] = $"{number}", ["WORLD_SIZE"] = $"{options.Workers}", ["LOCAL_WORLD_SIZE"] = $"{options.Workers}",
        };
        workers.Add(WorkerProcess.Start(number, options.Arguments, variables, line, text => say($"[{number}] {text}")));
    }

    /// <summary>Makes a fault; false while there are not enough workers for one to be left.</summary>
    private bool Inflict(ChaosFault wanted)
    {
        var free = workers.Where(worker => !hanging.Any(pair => pair.Worker == worker)).ToList();
        if (free.Count <= wanted.Workers || empty.Count > 0 || training < free.Count) return false;
        var first = (int)(wanted.Draw * free.Count);
        var victims = Enumerable.Range(0, wanted.Workers).Select(i => free[(first + i) % free.Count]).ToList();
        foreach (var victim in victims)
        {
            if (wanted.Kind == ChaosKind.Kill) victim.KillNow();
            else
            {
                victim.Hang();
                hanging.Add((victim, clock.ElapsedMilliseconds + (long)wanted.For.TotalMilliseconds));
            }
        }
        fault(wanted, victims);
        return true;
    }
}
