using System.Globalization;
using System.IO.Hashing;
using System.Text;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Evaluation.Continual;
using Perennial.Evaluation.Events;
using Perennial.Experiments.Runs;
using Perennial.Experiments.Stages;
using Perennial.Training;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Experiments.Measured;

/// <summary>Options of <see cref="StagesExperiment"/>.</summary>
public sealed record StagesExperimentOptions
{
    /// <summary>
    /// Whether the first stage is trained once for all arms that have the same one and taken over by each (<c>from</c>), moments included. What arms say about practices then
    /// holds from the second stage on.
    /// </summary>
    public bool ShareFirst { get; init; }

    /// <summary>Share of a stage over which <c>early-STAGE-TEXT</c> looks for the largest loss.</summary>
    public double Early { get; init; } = 0.05;
}

/// <summary>Trains a recipe of stages and measures what the forgetting matrix, the stability gaps and the probes say.</summary>
/// <remarks>
/// Measures, losses in nats a token: <c>end-STAGE-TEXT</c> (after a stage), <c>final-TEXT</c>, <c>start-STAGE-TEXT</c>, <c>early-STAGE-TEXT</c> (largest rise over the start in the
/// first part of a stage), <c>at-STAGE-STEP-TEXT</c> (at a probe), <c>gap-STAGE-TEXT</c> (depth), <c>area-STAGE-TEXT</c>, <c>recovery-STAGE-TEXT</c> (the stage's step; one more than it has where it did not), <c>learned</c>,
/// <c>retained</c>, <c>forgetting</c>, <c>backward-transfer</c>, <c>forward-transfer</c>; where <c>next-word</c> is a task also <c>accuracy-STAGE-TEXT</c> (after a stage), <c>accuracy-drop-STAGE-TEXT</c> (start minus worst),
/// <c>accuracy-area-STAGE-TEXT</c>, <c>accuracy-peak-STAGE-TEXT</c>; and what practices measure, as <c>PRACTICE-NAME</c>, the last word of each, and <c>first-PRACTICE-NAME</c>.
/// </remarks>
[Component("stages")]
public sealed class StagesExperiment(StagesExperimentOptions options) : IExperiment
{
    private const string Accuracy = "next_word_accuracy";

    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var node = context.Recipe ?? throw PerennialException.Usage("experiment 'stages' needs a recipe: write recipe: recipe.yaml");
        var loader = new RecipeLoader(context.Components);
        var recipe = loader.Bind(node);
        if (recipe.Stages.Count == 0) throw PerennialException.Usage("experiment 'stages': the recipe has no stages");
        if (options.ShareFirst && recipe.Stages.Count > 1 && recipe.Stages[0].From is null) recipe = TakeOver(recipe, context);
        var run = RecordedTraining.Execute(context.Components, recipe, context.Folder, context.Progress, context.Cancellation);
        run.RequireNoRefusal();
        var history = RunHistory.Load(context.Folder);
        return new ExperimentOutcome
        {
            Measures = Measures(history), Curves = Curves(history.StageTexts), Parameters = run.Started.Parameters, Tokens = run.Result.Tokens, Flops = run.Flops,
        };
    }

    private static Recipe TakeOver(Recipe recipe, ExperimentContext context)
    {
        var sources = StageRecipe.AllSources(recipe);
        // The base has all sources of the arm, so that it has its tokenizer, and nothing else that could differ between arms.
        var first = recipe with { Data = recipe.Data with { Sources = sources }, Stages = [recipe.Stages[0] with { Data = Own(recipe) }], Practices = [], Evaluation = recipe.Evaluation with { Every = RunLength.None, Probes = [] } };
        var key = Convert.ToHexStringLower(XxHash128.Hash(Encoding.UTF8.GetBytes(RecipeWriter.ToYaml(first))));
        var folder = SharedWork.Folder(context, key, folder =>
        {
            var result = new TrainingRun(context.Components).Execute(first, new TrainingRunOptions { RunFolder = folder }, [], context.Cancellation);
            if (!result.Completed) throw new OperationCanceledException(context.Cancellation);
        });
        var taken = recipe.Stages[0] with { From = folder, Data = Own(recipe), Tokens = null, Steps = null, Schedule = null, Rate = null };
        return recipe with { Data = recipe.Data with { Sources = sources }, Stages = [taken, .. recipe.Stages.Skip(1).Select(stage => stage.Data?.Sources is null ? stage with { Data = (stage.Data ?? new StageDataOptions()) with { Sources = recipe.Data.Sources } } : stage)] };

        static StageDataOptions Own(Recipe recipe) => (recipe.Stages[0].Data ?? new StageDataOptions()) with { Sources = recipe.Stages[0].Data?.Sources ?? recipe.Data.Sources };
    }

    private SortedDictionary<string, double> Measures(RunHistory history)
    {
        IReadOnlyList<StageMeasured> measured = [.. history.StageTexts.Where(e => e.Weights == "raw").OrderBy(e => e.Step).ThenBy(e => e.Stage)];
        var measures = new SortedDictionary<string, double>(StringComparer.Ordinal);
        void Add(string name, double value)
        {
            if (double.IsFinite(value)) measures[name] = value;
        }
        var matrix = ForgettingMatrix.Of(measured)!;
        Add("learned", matrix.Learned);
        Add("retained", matrix.Retained);
        Add("forgetting", matrix.Forgetting);
        Add("backward-transfer", matrix.BackwardTransfer);
        Add("forward-transfer", matrix.ForwardTransfer);
        foreach (var gap in matrix.Gaps)
        {
            Add($"gap-{gap.Stage}-{gap.Text}", gap.Depth);
            Add($"area-{gap.Stage}-{gap.Text}", gap.Area);
            Add($"recovery-{gap.Stage}-{gap.Text}", gap.RecoveredStep ?? measured.Where(e => e.Name == gap.Stage).Max(e => e.StageStep) + 1);
        }
        StageMeasured? before = measured.FirstOrDefault(e => e is { Step: 0, IsEnd: false });
        foreach (var stage in measured.GroupBy(e => e.Stage).OrderBy(group => group.Key))
        {
            var points = stage.OrderBy(e => e.StageStep).ThenBy(e => e.IsEnd).ToList();
            foreach (var text in points[^1].Texts.Select(text => text.Text))
            {
                Add($"end-{points[^1].Name}-{text}", Value(points[^1], text, "loss"));
                Add($"final-{text}", Value(measured.Last(e => e.IsEnd), text, "loss"));
                Add($"accuracy-{points[^1].Name}-{text}", Value(points[^1], text, Accuracy));
                foreach (var point in points.Where(point => !point.IsEnd)) Add(string.Create(CultureInfo.InvariantCulture, $"at-{point.Name}-{point.StageStep}-{text}"), Value(point, text, "loss"));
                if (before is null) continue;
                var start = Value(before, text, "loss");
                Add($"start-{points[^1].Name}-{text}", start);
                var early = points.Where(point => point.StageStep <= Math.Max(1, Math.Round(options.Early * points[^1].StageStep)) && point.StageStep > 0).Select(point => Value(point, text, "loss") - start).ToList();
                if (early.Count > 0) Add($"early-{points[^1].Name}-{text}", early.Max());
                AddAccuracy(points, text, Value(before, text, Accuracy), Add);
            }
            if (!points[^1].IsBranch) before = points[^1];
        }
        // Practices tell their own figures under their own name.
        foreach (var told in history.Evaluations.Where(e => e.Task == e.Weights).OrderBy(e => e.Step))
            foreach (var (name, value) in told.Metrics.Where(pair => double.IsFinite(pair.Value)))
            {
                measures.TryAdd($"first-{told.Task}-{name.Replace('_', '-')}", value);
                Add($"{told.Task}-{name.Replace('_', '-')}", value);
            }
        return measures;
    }

    private static void AddAccuracy(List<StageMeasured> points, string text, double start, Action<string, double> add)
    {
        if (!double.IsFinite(start)) return;
        var name = points[^1].Name;
        var values = points.Where(point => point.StageStep > 0).Select(point => (point.StageStep, Value: Value(point, text, Accuracy))).ToList();
        add($"accuracy-drop-{name}-{text}", start - values.Min(point => point.Value));
        add($"accuracy-peak-{name}-{text}", values.Max(point => point.Value));
        double area = 0, last = 0;
        var lastStep = 0L;
        foreach (var (step, value) in values)
        {
            area += (step - lastStep) * (last + Math.Max(0, start - value)) / 2;
            (lastStep, last) = (step, Math.Max(0, start - value));
        }
        add($"accuracy-area-{name}-{text}", area);
    }

    private static double Value(StageMeasured e, string text, string metric) => e.Texts.FirstOrDefault(one => one.Text == text)?.Metrics.TryGetValue(metric, out var value) == true ? value : double.NaN;

    private static List<MeasuredCurve> Curves(IReadOnlyList<StageMeasured> measured) =>
        [.. measured[^1].Texts.Select(text => new MeasuredCurve($"held-out {text.Text}", "steps trained", "nats a token",
            [.. measured.Where(e => e is { IsBranch: false, Weights: "raw" }).Select(e => new CurvePoint(e.Step, Value(e, text.Text, "loss"))).Where(point => double.IsFinite(point.Value)).DistinctBy(point => point.At)]))];
}
