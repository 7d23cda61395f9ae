using System.Diagnostics;
using Perennial.Core.Recipes;
using Perennial.Models;
using Perennial.Tensors;
using Perennial.Training;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Experiments.Runs;

/// <summary>Trains with <see cref="TrainingRun"/>, as <c>perennial train</c> does, in a run folder of the same kind.</summary>
/// <param name="components">Components that recipes may name.</param>
public sealed class TrainingTrialRunner(ComponentRegistry components) : ITrialRunner
{
    private readonly RecipeLoader loader = new(components);

    /// <inheritdoc/>
    public string Resolve(RecipeNode recipe) => RecipeWriter.ToYaml(RecipeResolution.Resolve(loader.Bind(recipe), null, Bfloat16.IsNative));

    /// <inheritdoc/>
    public TrialOutcome Run(RecipeNode recipe, string folder, IProgress<double> progress, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(progress);
        var clock = Stopwatch.StartNew();
        var record = new Recorder(progress);
        var bound = loader.Bind(recipe);
        var result = new TrainingRun(components).Execute(bound, new TrainingRunOptions { RunFolder = folder }, [record], cancellation);
        if (!result.Completed) throw new OperationCanceledException(cancellation);
        if (record.Refused > 0)
            throw Core.PerennialException.Failed($"{folder}: {record.Refused} step(s) were refused, so the arms would not see the same data; lower the rate, or set training.on-spike.threshold to 0");
        return new TrialOutcome
        {
            Final = record.Final(result.Step),
            Curves = record.Curves(),
            Parameters = record.Started!.Parameters,
            Tokens = result.Tokens,
            Flops = record.Started.FlopsPerToken * result.Tokens,
            Seconds = Math.Round(clock.Elapsed.TotalSeconds, 2),
            StateHash = result.StateHash,
        };
    }

    /// <summary>Keeps what a comparison needs of a run's events.</summary>
    private sealed class Recorder(IProgress<double> progress) : IRunObserver
    {
        private const int CurvePoints = 100;
        private readonly List<EvaluationDone> evaluations = [];
        private readonly List<StepDone> steps = [];
        private double told;

        public RunStarted? Started { get; private set; }

        public int Refused { get; private set; }

        public void Observe(RunEvent happened)
        {
            switch (happened)
            {
                case RunStarted started:
                    Started = started;
                    break;
                case StepDone step:
                    steps.Add(step);
                    var share = step.Step / (double)Math.Max(1, Started!.TotalSteps);
                    if (share - told < 0.02) break;
                    progress.Report(told = share);
                    break;
                case StepRefused:
                    Refused++;
                    break;
                case EvaluationDone evaluation:
                    evaluations.Add(evaluation);
                    break;
            }
        }

        public IReadOnlyDictionary<string, IReadOnlyDictionary<string, double>> Final(long step) => evaluations.Where(evaluation => evaluation.Step == step)
            .GroupBy(evaluation => evaluation.Weights)
            .ToDictionary(group => group.Key, group => (IReadOnlyDictionary<string, double>)group.SelectMany(evaluation => evaluation.Metrics).DistinctBy(pair => pair.Key).ToDictionary());

        public IReadOnlyDictionary<string, IReadOnlyList<CurvePoint>> Curves()
        {
            var curves = new Dictionary<string, IReadOnlyList<CurvePoint>>();
            foreach (var metric in evaluations.SelectMany(evaluation => evaluation.Metrics.Select(pair => (evaluation.Weights, pair.Key, Point: new CurvePoint(evaluation.Step * Started!.TokensPerStep, pair.Value))))
                .Where(metric => double.IsFinite(metric.Point.Value)).GroupBy(metric => $"{metric.Weights}/{metric.Key}"))
                curves[metric.Key] = [.. metric.Select(entry => entry.Point)];
            var every = Math.Max(1, steps.Count / CurvePoints);
            var kept = steps.Where((_, i) => i % every == 0 || i == steps.Count - 1).ToList();
            curves["rate"] = [.. kept.Select(step => new CurvePoint(step.Tokens, step.Rate))];
            curves["training-loss"] = [.. kept.Select(step => new CurvePoint(step.Tokens, step.Loss))];
            return curves;
        }
    }
}
