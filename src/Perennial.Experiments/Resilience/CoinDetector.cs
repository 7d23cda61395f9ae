using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Experiments.Measured;
using Perennial.Resilience.Restart;
using Perennial.Resilience.Simulation;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="CoinDetector"/>.</summary>
public sealed record CoinDetectorOptions
{
    /// <summary>How often it is tried.</summary>
    [Range(1, 100_000)]
    public int Repetitions { get; init; } = 200;

    /// <summary>Attempts that are seen before it is judged.</summary>
    [Range(20, 100_000)]
    public int Attempts { get; init; } = 120;

    /// <summary>Share of attempts that succeed.</summary>
    [Range(0.05, 0.95)]
    public double Success { get; init; } = 0.5;

    /// <summary>How often the detector cries failure, whatever the attempt does.</summary>
    [Range(0.01, 0.99)]
    public double Alarms { get; init; } = 0.4;
}

/// <summary>A detector that flips coins: the restart policy must not act on it (paper 19, reproduction 4).</summary>
[Component("coin-detector")]
public sealed class CoinDetector(CoinDetectorOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var policy = new RestartOptions();
        var adopted = 0;
        for (var repetition = 0; repetition < options.Repetitions; repetition++)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            var random = new RandomStream(context.Seed, (ulong)repetition);
            var state = RestartState.Begin(new AttemptDraw(context.Seed, 0, 1));
            var rule = new RestartPolicy(policy, context.Seed * 7919 + (ulong)repetition);
            for (var attempt = 0; attempt < options.Attempts; attempt++)
            {
                var (succeeds, alarmed) = (random.Uniform() < options.Success, random.Uniform() < options.Alarms);
                var seconds = (succeeds ? 60 : 40) * random.Gamma(4) / 4;
                // Everything runs to its end while the policy only watches; once it acts the repetition is decided.
                state = rule.Finish(state, new AttemptRecord(seconds, succeeds, alarmed ? Math.Min(seconds, 12) : null, 1));
                if (state.Mode == RestartMode.Preempt) break;
            }
            if (state.Mode == RestartMode.Preempt) adopted++;
            context.Progress.Report((repetition + 1.0) / options.Repetitions);
        }
        return new() { Measures = new Dictionary<string, double> { ["declined"] = 1 - adopted / (double)options.Repetitions } };
    }
}
