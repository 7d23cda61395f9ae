using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Preparation;
using Perennial.Evaluation.Checkpoints;
using Perennial.Resilience;
using Perennial.Training.Checkpoints;
using Perennial.Training.HeldOut;
using Perennial.Training.Recipes;

namespace Perennial.Evaluation.Dynamics;

/// <summary>Measures every whole checkpoint of a run on its held-out text.</summary>
/// <param name="components">Components that recipes and tasks may name.</param>
public sealed class CheckpointDynamics(ComponentRegistry components)
{
    /// <summary>The curve of a run. Every checkpoint is measured in the same batches at float32, whatever it was trained at.</summary>
    /// <param name="run">The run's folder.</param>
    /// <param name="kinds">Tasks.</param>
    /// <param name="notify">Told lines for people.</param>
    /// <param name="cancellation">Stops between checkpoints.</param>
    /// <exception cref="PerennialException">Exit 2: it is no run folder, or holds nothing out. Exit 3: it is damaged.</exception>
    public TrainingCurve Measure(string run, IReadOnlyList<string> kinds, Action<string> notify, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(kinds);
        ArgumentNullException.ThrowIfNull(notify);
        var recipePath = Path.Combine(run, "recipe.yaml");
        var entries = new CheckpointStore(Path.Combine(run, "checkpoints")).List().Reverse().ToList();
        if (!File.Exists(recipePath) || entries.Count == 0) throw PerennialException.Usage($"{run}: is no run folder with checkpoints; give one that `perennial train` made");
        var tasks = kinds.Select(kind => new RecipeBinder(components).Bind<ComponentSpec<IEvaluationTask>>(RecipeDocument.Parse(kind, "--tasks")).Create()).ToList();
        var recipe = new RecipeLoader(components).Load(recipePath);
        using var data = DataPreparation.Prepare(recipe.Data with { Sources = StageRecipe.AllSources(recipe) }, recipe.Seed, notify, cancellation);
        var text = new HeldOutTexts(data, StageRecipe.Of(recipe), recipe.Evaluation.Tokens?.Value).All ?? throw PerennialException.Usage($"{run}: its recipe holds no text out");
        var moments = new List<CurveMoment>();
        var parameters = 0L;
        foreach (var entry in entries)
        {
            cancellation.ThrowIfCancellationRequested();
            if (CheckpointStore.Problem(entry) is { } problem)
            {
                notify($"{entry.Folder} is passed over: {problem}");
                continue;
            }
            using var checkpoint = LoadedCheckpoint.Open(entry.Folder, notify);
            if (checkpoint.Tokenizer.Fingerprint != data.Tokenizer.Fingerprint) throw PerennialException.Damaged($"{entry.Folder}: its tokenizer is not the one that the run's recipe makes");
            parameters = checkpoint.Model.Parameters.Layout.Length;
            var context = new EvaluationContext(checkpoint.Model, text, new TextScorer());
            var metrics = new SortedDictionary<string, double>(StringComparer.Ordinal) { ["loss"] = context.Scores.Loss, ["bits_per_byte"] = context.Scores.BitsPerByte };
            foreach (var (name, value) in tasks.SelectMany(task => task.Measure(context))) metrics[name] = value;
            moments.Add(new CurveMoment(entry.Step, CheckpointFiles.ReadProgress(entry.Folder).Tokens, metrics));
            notify($"{entry.Folder}: loss {metrics["loss"]:F4}");
        }
        return moments.Count > 0 ? new TrainingCurve(run, parameters, moments) : throw PerennialException.Damaged($"{run}: no checkpoint is whole");
    }
}
