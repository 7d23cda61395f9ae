using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;
using Perennial.Training;
using Perennial.Training.Recipes;

namespace Perennial.Experiments.Stages;

/// <summary>What was measured of the raw weights at one step.</summary>
/// <param name="Step">Finished steps.</param>
/// <param name="Tokens">Tokens seen.</param>
/// <param name="Values">Metric → value, of all tasks and practices.</param>
internal sealed record ProbeMoment(long Step, long Tokens, IReadOnlyDictionary<string, double> Values);

/// <summary>A training and all that its evaluations said, read back from its metrics file, so that a stop loses none.</summary>
/// <param name="Moments">Evaluations by step.</param>
/// <param name="Parameters">Trained parameters.</param>
/// <param name="Tokens">Tokens trained on.</param>
/// <param name="Flops">Operations, as counted.</param>
/// <param name="Chosen">Shares that a mixture chose, in order.</param>
internal sealed record ProbedRun(IReadOnlyList<ProbeMoment> Moments, long Parameters, long Tokens, double Flops, IReadOnlyList<IReadOnlyList<double>> Chosen)
{
    /// <summary>Values of a metric where it was measured.</summary>
    public IReadOnlyList<(long Step, double Value)> Curve(string metric) => [.. Moments.Where(moment => moment.Values.ContainsKey(metric)).Select(moment => (moment.Step, moment.Values[metric]))];

    /// <summary>The last value of a metric.</summary>
    public double Last(string metric) => Curve(metric)[^1].Value;

    /// <summary>The largest change, from one choice to the next within the last third of them, of the share of one of the first sources, relative to it; 0 where nothing was chosen.</summary>
    public double ShareMotion(int sources)
    {
        var last = Chosen.Skip(Chosen.Count - Chosen.Count / 3).ToList();
        return last.Zip(last.Skip(1), (from, to) => Enumerable.Range(0, sources).Max(i => Math.Abs(to[i] / from[i] - 1))).DefaultIfEmpty(0).Max();
    }

    /// <summary>Trains to the end, or goes on.</summary>
    /// <exception cref="PerennialException">Exit 1: steps were refused, so that arms would not see the same data.</exception>
    public static ProbedRun Train(ExperimentContext context, RecipeNode node, string folder)
    {
        var recipe = new RecipeLoader(context.Components).Bind(node);
        var run = RecordedTraining.Execute(context.Components, recipe, folder, context.Progress, context.Cancellation);
        run.RequireNoRefusal();
        var chosen = run.Events.OfType<MixtureChosen>().GroupBy(e => e.Step).OrderBy(group => group.Key).Select(group => group.Last().Weights).ToList();
        // Practices tell figures under their own name, tasks under raw weights.
        var moments = run.Evaluations.Where(e => e.Weights == "raw" || e.Weights == e.Task).GroupBy(e => e.Step).OrderBy(group => group.Key)
            .Select(group => new ProbeMoment(group.Key, group.Key * run.Started.TokensPerStep, group.SelectMany(e => e.Metrics).DistinctBy(pair => pair.Key).ToDictionary())).ToList();
        return new(moments, run.Started.Parameters, run.Result.Tokens, run.Flops, chosen);
    }
}
