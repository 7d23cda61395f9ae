using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;
using Perennial.Resilience.Restart;
using Perennial.Training;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="RestartTrials"/>.</summary>
public sealed record RestartTrialsOptions
{
    /// <summary>Runs to learn from.</summary>
    [Range(20, 10_000)]
    public int Learn { get; init; } = 120;

    /// <summary>Runs that the policies are then played on.</summary>
    [Range(20, 10_000)]
    public int Live { get; init; } = 60;

    /// <summary>Good runs wanted.</summary>
    [Range(1, 10_000)]
    public int Wanted { get; init; } = 20;

    /// <summary>Share of the first runs that reach the target: sets the target.</summary>
    [Range(0.1, 0.9)]
    public double Success { get; init; } = 0.5;

    /// <summary>Shares of a run after which the detector may look.</summary>
    [MinLength(1), Range(0.01, 0.99)]
    public IReadOnlyList<double> Checks { get; init; } = [0.1, 0.2, 0.3, 0.5];

    /// <summary>Cost of starting a run, as a share of a whole one.</summary>
    [Range(0.0, 10.0)]
    public double Overhead { get; init; } = 0.02;
}

/// <summary>
/// Many small trainings of one recipe with different seeds, some of which miss a target loss: what stopping predicted failures saves on the way to a
/// number of good runs, against running every one to its end and against stopping at the first spike (paper 19, reproduction 3). Time is counted
/// in steps, so nothing depends on the machine's load.
/// </summary>
[Component("restart-trials")]
public sealed class RestartTrials(RestartTrialsOptions options) : IExperiment
{
    private const int LastSteps = 20;

    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        if (context.Recipe is null) throw PerennialException.Usage("experiment 'restart-trials' trains the paper's recipe; name one with 'recipe'");
        var steps = (int)new RecipeLoader(context.Components).Bind(context.Recipe).Training.TotalSteps(1);
        var runs = Runs(context);
        var target = runs.Take(options.Learn).Select(Final).Order().ElementAt((int)(options.Learn * options.Success));
        var attempts = runs.Select(run => new Attempt(new RunSeries { Loss = run.Loss, GradientNorm = run.Norm }, run.Loss.Count == steps && Final(run) < target, run.Loss.Count)).ToList();
        var overhead = options.Overhead * steps;
        var (learn, live) = (attempts[..options.Learn], attempts[options.Learn..]);
        var detector = RestartStudy.Learn(learn, [.. options.Checks.Select(share => Math.Max(8, (int)(share * steps)))], overhead, context.Seed);
        var whole = AttemptReplay.TimeOf(live, options.Wanted, overhead, _ => null);
        var policy = AttemptReplay.TimeOf(live, options.Wanted, overhead, detector.StopsAt);
        var spike = AttemptReplay.TimeOf(live, options.Wanted, overhead, FirstSpike);
        return new()
        {
            Measures = new Dictionary<string, double>
            {
                ["success-share"] = live.Count(attempt => attempt.Succeeded) / (double)live.Count, ["saving"] = 1 - policy / whole, ["spike-saving"] = double.IsFinite(spike) ? 1 - spike / whole : -10,
                ["prediction-error"] = detector.Acts ? Math.Abs(detector.Measured.Makespan / policy - 1) : 0, ["acts"] = detector.Acts ? 1 : 0, ["confidence"] = detector.Confidence,
                ["recall"] = detector.Measured.Detector.Recall, ["false-abort"] = detector.Measured.Detector.FalseAbort, ["check"] = detector.Check / (double)steps,
            },
            Tokens = runs.Sum(run => run.Tokens),
        };
    }

    /// <summary>The fixed rule: stop at the first loss above median + 6·MAD of what was seen before.</summary>
    private static double? FirstSpike(Attempt attempt)
    {
        const int warm = 16, factor = 6;
        for (var step = warm; step < attempt.Series.Loss.Count; step++)
        {
            var seen = attempt.Series.Loss.Skip(Math.Max(0, step - 64)).Take(Math.Min(step, 64)).Order().ToList();
            var median = seen[seen.Count / 2];
            var deviation = seen.Select(value => Math.Abs(value - median)).Order().ElementAt(seen.Count / 2);
            if (attempt.Series.Loss[step] > median + factor * Math.Max(deviation, 1e-6)) return step + 1;
        }
        return null;
    }

    private static double Final(Recorded run) => run.Loss.Count == 0 ? double.PositiveInfinity : run.Loss.Skip(Math.Max(0, run.Loss.Count - LastSteps)).Average();

    /// <summary>All runs of this seed; those that a stopped call finished are not made again.</summary>
    private List<Recorded> Runs(ExperimentContext context)
    {
        var (file, count) = (Path.Combine(context.Folder, "runs.jsonl"), options.Learn + options.Live);
        var runs = File.Exists(file) ? File.ReadLines(file).Where(line => line.EndsWith('}')).Select(line => JsonSerializer.Deserialize<Recorded>(line)!).ToList() : [];
        while (runs.Count < count)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            var run = Train(context, context.Seed * 1_000_000 + (ulong)runs.Count);
            runs.Add(run);
            File.AppendAllText(file, JsonSerializer.Serialize(run) + "\n");
            context.Progress.Report(runs.Count / (double)count);
        }
        return runs;
    }

    private static Recorded Train(ExperimentContext context, ulong seed)
    {
        var folder = Path.Combine(context.Folder, "run");
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        var record = new Recorder();
        try
        {
            var recipe = new RecipeLoader(context.Components).Bind(context.Recipe!.With("seed", seed.ToString(CultureInfo.InvariantCulture)));
            if (!new TrainingRun(context.Components).Execute(recipe, new TrainingRunOptions { RunFolder = folder }, [record], context.Cancellation).Completed)
                throw new OperationCanceledException(context.Cancellation);
        }
        catch (PerennialException stopped) when (stopped.Code == ExitCode.Failed && record.Losses.Count > 0)
        {
            // It diverged, and the recipe's policy stopped it: a failure as long as it got.
        }
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        return new(record.Losses, record.Norms, record.Tokens);
    }

    private sealed record Recorded(IReadOnlyList<double> Loss, IReadOnlyList<double> Norm, long Tokens);

    private sealed class Recorder : IRunObserver
    {
        public List<double> Losses { get; } = [];

        public List<double> Norms { get; } = [];

        public long Tokens { get; private set; }

        public void Observe(RunEvent happened)
        {
            if (happened is not StepDone step) return;
            Losses.Add(Math.Round(step.Loss, 5));
            Norms.Add(Math.Round(step.GradientNorm, 5));
            Tokens = step.Tokens;
        }
    }
}
