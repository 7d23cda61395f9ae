using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Experiments.Measured;
using Perennial.Resilience.Restart;
using Perennial.Resilience.Simulation;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="InsertionTask"/>.</summary>
public sealed record InsertionTaskOptions
{
    /// <summary>Attempts to learn from.</summary>
    [Range(40, 100_000)]
    public int Learn { get; init; } = 200;

    /// <summary>Tasks done with and without the policy.</summary>
    [Range(10, 100_000)]
    public int Tasks { get; init; } = 120;

    /// <summary>Share of attempts that succeed.</summary>
    [Range(0.05, 0.95)]
    public double Success { get; init; } = 0.5;

    /// <summary>Noise of the forces over the difference that an attempt's end makes.</summary>
    [Range(0.01, 100.0)]
    public double Noise { get; init; } = 1;

    /// <summary>Rearrangements of the permutation test.</summary>
    [Range(100, 1_000_000)]
    public int Permutations { get; init; } = 5_000;
}

/// <summary>
/// A made-up peg-in-hole task: two noisy forces over time whose course depends, from a random moment on, on whether the attempt will succeed. Learns
/// from attempts, then does tasks (attempts until one succeeds) with and without stopping predicted failures (paper 19, reproduction 2; the
/// predictor is the house's logistic one, not the paper's convolutional network).
/// </summary>
[Component("insertion-task")]
public sealed class InsertionTask(InsertionTaskOptions options) : IExperiment
{
    private const double Overhead = 1;

    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var random = new RandomStream(context.Seed, 1);
        var detector = RestartStudy.Learn([.. Enumerable.Range(0, options.Learn).Select(_ => Draw(random))], [10, 15, 20, 30], Overhead, context.Seed);
        var whole = Enumerable.Range(0, options.Tasks).Select(_ => Makespan(random, _ => null)).ToArray();
        var policy = Enumerable.Range(0, options.Tasks).Select(_ => Makespan(random, detector.StopsAt)).ToArray();
        return new()
        {
            Measures = new Dictionary<string, double>
            {
                ["without-seconds"] = whole.Average(), ["with-seconds"] = policy.Average(), ["saving"] = 1 - policy.Average() / whole.Average(), ["p-value"] = PValue(whole, policy, random),
                ["recall"] = detector.Measured.Detector.Recall, ["false-abort"] = detector.Measured.Detector.FalseAbort,
            },
        };
    }

    /// <summary>From a task's first attempt to its success.</summary>
    private double Makespan(RandomStream random, Func<Attempt, double?> stopsAt)
    {
        for (var time = 0.0; ;)
        {
            var attempt = Draw(random);
            var stopped = stopsAt(attempt);
            time += Overhead + (stopped ?? attempt.Length);
            if (stopped is null && attempt.Succeeded) return time;
        }
    }

    /// <summary>One attempt, a value a second: successes take about 45 s, failures run into their limit of about 90 s.</summary>
    private Attempt Draw(RandomStream random)
    {
        var succeeds = random.Uniform() < options.Success;
        var length = (int)Math.Max(12, (succeeds ? 45 : 90) * random.Gamma(16) / 16);
        var (onset, axial, lateral) = (3 + random.Uniform() * 12, new double[length], new double[length]);
        for (var second = 0; second < length; second++)
        {
            // Until the contact shows how it will go, both look alike.
            var shown = second < onset ? 0 : 1 - Math.Exp(-(second - onset) / 8);
            axial[second] = Math.Max(0.01, 5 + (succeeds ? -1.5 : 1.5) * shown + options.Noise * random.Normal());
            lateral[second] = Math.Max(0.01, 2 + (succeeds ? -0.5 : 1.0) * shown + options.Noise * random.Normal());
        }
        return new(new RunSeries { Loss = axial, GradientNorm = lateral }, succeeds, length);
    }

    /// <summary>One-sided: how often a random division of all tasks into two halves shows so great a saving.</summary>
    private double PValue(double[] whole, double[] policy, RandomStream random)
    {
        double[] all = [.. whole, .. policy];
        var (found, extreme) = (whole.Average() - policy.Average(), 0);
        for (var round = 0; round < options.Permutations; round++)
        {
            for (var i = all.Length - 1; i > 0; i--)
            {
                var other = (int)random.Below(i + 1);
                (all[i], all[other]) = (all[other], all[i]);
            }
            if (all.AsSpan(0, whole.Length).ToArray().Average() - all.AsSpan(whole.Length).ToArray().Average() >= found) extreme++;
        }
        return (extreme + 1.0) / (options.Permutations + 1);
    }
}
