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
    private const int CurvePoints = 100;
    private readonly RecipeLoader loader = new(components);

    /// <inheritdoc/>
    public string Resolve(RecipeNode recipe) => RecipeWriter.ToYaml(RecipeResolution.Resolve(loader.Bind(recipe), null, Bfloat16.IsNative));

    /// <inheritdoc/>
    public TrialOutcome Run(RecipeNode recipe, string folder, IProgress<double> progress, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var run = RecordedTraining.Execute(components, loader.Bind(recipe), folder, progress, cancellation);
        run.RequireNoRefusal();
        return new TrialOutcome
        {
            Final = Final(run),
            Curves = Curves(run),
            Parameters = run.Started.Parameters,
            Tokens = run.Result.Tokens,
            Flops = run.Flops,
            Seconds = Math.Round(clock.Elapsed.TotalSeconds, 2),
            StateHash = run.Result.StateHash,
        };
    }

    private static IReadOnlyDictionary<string, IReadOnlyDictionary<string, double>> Final(RecordedTraining run) => run.Evaluations.Where(evaluation => evaluation.Step == run.Result.Step)
        .GroupBy(evaluation => evaluation.Weights)
        .ToDictionary(group => group.Key, group => (IReadOnlyDictionary<string, double>)group.SelectMany(evaluation => evaluation.Metrics).DistinctBy(pair => pair.Key).ToDictionary());

    private static IReadOnlyDictionary<string, IReadOnlyList<CurvePoint>> Curves(RecordedTraining run)
    {
        var curves = new Dictionary<string, IReadOnlyList<CurvePoint>>();
        foreach (var metric in run.Evaluations.SelectMany(evaluation => evaluation.Metrics.Select(pair => (evaluation.Weights, pair.Key, Point: new CurvePoint(evaluation.Step * run.Started.TokensPerStep, pair.Value))))
            .Where(metric => double.IsFinite(metric.Point.Value)).GroupBy(metric => $"{metric.Weights}/{metric.Key}"))
            curves[metric.Key] = [.. metric.Select(entry => entry.Point)];
        var steps = run.Events.OfType<StepDone>().ToList();
        var every = Math.Max(1, steps.Count / CurvePoints);
        var kept = steps.Where((_, i) => i % every == 0 || i == steps.Count - 1).ToList();
        curves["rate"] = [.. kept.Select(step => new CurvePoint(step.Tokens, step.Rate))];
        curves["training-loss"] = [.. kept.Select(step => new CurvePoint(step.Tokens, step.Loss))];
        return curves;
    }
}
