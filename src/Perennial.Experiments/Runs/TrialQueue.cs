using System.Diagnostics;

namespace Perennial.Experiments.Runs;

/// <summary>Trains the runs of an experiment that are not finished yet, several at a time, and tells how far it is.</summary>
internal sealed class TrialQueue(ITrialRunner runner, TrialLedger ledger, string folder, int parallel, IExperimentObserver? observer)
{
    private readonly Lock turn = new();
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private readonly Dictionary<string, double> shares = new(StringComparer.Ordinal);
    private readonly HashSet<string> told = new(StringComparer.Ordinal);
    private int done, runs;
    private double trained;

    /// <summary>Runs that the whole experiment needs, as far as known.</summary>
    public int Runs { get => runs; set => runs = value; }

    /// <summary>The outcome of every trial, in order.</summary>
    public IReadOnlyList<TrialOutcome> Finish(IReadOnlyList<Trial> trials, CancellationToken cancellation)
    {
        var outcomes = new Dictionary<string, TrialOutcome>(StringComparer.Ordinal);
        foreach (var trial in trials.DistinctBy(trial => trial.Fingerprint))
        {
            if (ledger.Find(trial) is not { } outcome) continue;
            outcomes[trial.Fingerprint] = outcome;
            if (told.Add(trial.Fingerprint)) Finished(trial, outcome, recorded: true);
        }
        var open = trials.DistinctBy(trial => trial.Fingerprint).Where(trial => !outcomes.ContainsKey(trial.Fingerprint)).ToList();
        try
        {
            Parallel.ForEach(System.Collections.Concurrent.Partitioner.Create(open, System.Collections.Concurrent.EnumerablePartitionerOptions.NoBuffering),
                new ParallelOptions { MaxDegreeOfParallelism = Math.Max(1, parallel), CancellationToken = cancellation }, trial =>
                {
                    var outcome = runner.Run(trial.Recipe, Path.Combine(folder, $"{trial.Name}-{trial.Fingerprint[..8]}"), new Share(this, trial), cancellation);
                    ledger.Add(trial, outcome);
                    lock (turn)
                    {
                        outcomes[trial.Fingerprint] = outcome;
                        told.Add(trial.Fingerprint);
                        shares.Remove(trial.Name);
                        trained++;
                    }
                    Finished(trial, outcome, recorded: false);
                });
        }
        catch (AggregateException several)
        {
            // The first real fault is the one to tell; runs that were stopped because of it only echo it.
            var first = several.Flatten().InnerExceptions.FirstOrDefault(error => error is not OperationCanceledException) ?? several.InnerException!;
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(first);
        }
        return [.. trials.Select(trial => outcomes[trial.Fingerprint])];
    }

    private void Finished(Trial trial, TrialOutcome outcome, bool recorded)
    {
        lock (turn)
        {
            done++;
            Tell(new TrialFinished(trial.Name, outcome, recorded, done, Math.Max(runs, done), SecondsLeft()));
        }
    }

    private void Tell(ExperimentEvent happened) => observer?.Observe(happened);

    private double? SecondsLeft()
    {
        var work = trained + shares.Values.Sum();
        return work < 0.05 ? null : clock.Elapsed.TotalSeconds / work * Math.Max(0, runs - done - shares.Values.Sum());
    }

    private sealed class Share(TrialQueue queue, Trial trial) : IProgress<double>
    {
        public void Report(double value)
        {
            lock (queue.turn)
            {
                queue.shares[trial.Name] = value;
                queue.Tell(new TrialProgress(trial.Name, value, queue.done, Math.Max(queue.runs, queue.done), queue.SecondsLeft()));
            }
        }
    }
}
