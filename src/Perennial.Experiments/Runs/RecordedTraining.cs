using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Evaluation.Events;
using Perennial.Training;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Experiments.Runs;

/// <summary>
/// A training whose events are measured afterwards. They are read from the run's own file, so that what a call told before it was stopped counts
/// in the one that goes on.
/// </summary>
/// <param name="Result">How it ended.</param>
/// <param name="Started">What was going to happen.</param>
/// <param name="Events">Everything that happened, from the first step on.</param>
public sealed record RecordedTraining(RunResult Result, RunStarted Started, IReadOnlyList<RunEvent> Events)
{
    /// <summary>Floating-point operations of all of it.</summary>
    public double Flops => Started.FlopsPerToken * Result.Tokens;

    /// <summary>Held-out scores in order, each step's once.</summary>
    public IReadOnlyList<EvaluationDone> Evaluations => [.. Events.OfType<EvaluationDone>().GroupBy(e => (e.Step, e.Task, e.Weights)).Select(group => group.Last())];

    /// <summary>Trains to the end, or goes on.</summary>
    /// <param name="components">Components that the recipe may name.</param>
    /// <param name="recipe">The recipe.</param>
    /// <param name="folder">The run's folder.</param>
    /// <param name="progress">Told of the share that is done.</param>
    /// <param name="cancellation">Stops at the next safe point.</param>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public static RecordedTraining Execute(ComponentRegistry components, Recipe recipe, string folder, IProgress<double> progress, CancellationToken cancellation)
    {
        using var metrics = new MetricsFile();
        var watch = new Watch(progress);
        var result = new TrainingRun(components).Execute(recipe, new TrainingRunOptions { RunFolder = folder }, [metrics, watch], cancellation);
        if (!result.Completed) throw new OperationCanceledException(cancellation);
        return new(result, watch.Started!, [.. MetricsFile.Read(folder)]);
    }

    /// <summary>Refuses a comparison in which arms would not see the same data.</summary>
    /// <exception cref="PerennialException">Exit 1: steps were refused.</exception>
    public void RequireNoRefusal()
    {
        var refused = Events.OfType<StepRefused>().Count();
        if (refused > 0) throw PerennialException.Failed($"{Started.RunFolder}: {refused} step(s) were refused, so the arms would not see the same data; lower the rate, or set training.on-spike.threshold to 0");
    }

    private sealed class Watch(IProgress<double> progress) : IRunObserver
    {
        private double told;

        public RunStarted? Started { get; private set; }

        public void Observe(RunEvent happened)
        {
            if (happened is RunStarted started) Started = started;
            if (happened is not StepDone step || step.Step / (double)Math.Max(1, Started!.TotalSteps) is var share && share - told < 0.02) return;
            progress.Report(told = share);
        }
    }
}
