using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Experiments.Measured;
using Perennial.Resilience.Restart;
using Perennial.Resilience.Simulation;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="MakespanFormula"/>.</summary>
public sealed record MakespanFormulaOptions
{
    /// <summary>Parameter sets.</summary>
    [Range(1, 100_000)]
    public int Sets { get; init; } = 200;

    /// <summary>Makespans simulated for each set.</summary>
    [Range(100, 100_000_000)]
    public int Sequences { get; init; } = 100_000;

    /// <summary>How durations are spread.</summary>
    public DurationLaw Law { get; init; } = DurationLaw.Exponential;
}

/// <summary>The closed form of the expected makespan against Monte Carlo, over random parameters (paper 19 §2).</summary>
[Component("makespan-formula")]
public sealed class MakespanFormula(MakespanFormulaOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var (errors, wrong, done) = (new double[options.Sets], 0, 0);
        var lockstep = new Lock();
        Parallel.For(0, options.Sets, new ParallelOptions { CancellationToken = context.Cancellation, MaxDegreeOfParallelism = Math.Max(1, Environment.ProcessorCount / 2) }, set =>
        {
            var random = new RandomStream(context.Seed, (ulong)set);
            double Between(double low, double high) => low + (high - low) * random.Uniform();
            Duration Time(double low, double high) => new(Between(low, high), options.Law);
            var model = new MakespanModel(Between(0.2, 0.95), Time(10, 600), Time(10, 600), Between(0, 60));
            var detector = new Detector(Between(0, 1), Between(0, 0.3), Time(1, model.SuccessTime.Mean), Time(1, model.FailureTime.Mean));
            var drawn = MakespanSampler.Draw(model, detector, options.Sequences, context.Seed * 1_000_003 + (ulong)set).Average(one => one.Time);
            errors[set] = Math.Abs(drawn / model.WithDetector(detector) - 1);
            // The rule must say what the two expectations say.
            if (model.Pays(detector) != model.WithDetector(detector) < model.WithoutDetector) Interlocked.Increment(ref wrong);
            lock (lockstep) context.Progress.Report(++done / (double)options.Sets);
        });
        return new() { Measures = new Dictionary<string, double> { ["mean-error"] = errors.Average(), ["worst-error"] = errors.Max(), ["wrong-rules"] = wrong } };
    }
}
