using System.ComponentModel.DataAnnotations;
using System.Globalization;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data.Tokenizers;
using Perennial.Experiments.Measured;

namespace Perennial.Experiments.Stages;

/// <summary>Options of <see cref="SparsePhases"/>.</summary>
public sealed record SparsePhasesOptions
{
    /// <summary>Whether there is a first phase; without it fine-tuning starts from fresh weights.</summary>
    public bool Pretrain { get; init; } = true;

    /// <summary>Whether the second phase is also made under the first one's masks.</summary>
    public bool SparseTuning { get; init; }

    /// <summary>Steps of the second phase.</summary>
    [Range(1, 1_000_000)]
    public int TuneSteps { get; init; } = 120;

    /// <summary>Peak rates of the second phase that are tried; the lowest loss on the choosing part wins.</summary>
    [MinLength(1)]
    public IReadOnlyList<double> TuneRates { get; init; } = [1e-3, 3e-3];

    /// <summary>Numbers of examples of the small and of the large fine-tuning set.</summary>
    [Length(2, 2)]
    public IReadOnlyList<int> Examples { get; init; } = [200, 2000];

    /// <summary>Combinations that are tested.</summary>
    [Range(1, 1000)]
    public int Tested { get; init; } = 150;
}

/// <summary>
/// Sparse pre-training and dense fine-tuning (Thangarasu et al. 2023, arXiv 2303.10464): pre-trains with the recipe's parameterization on plain
/// sentences beside real prose, fine-tunes densely on data-to-text with a fresh optimizer and schedule, and scores combinations that neither phase saw.
/// </summary>
[Component("sparse-phases")]
public sealed class SparsePhases(SparsePhasesOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var recipe = context.Recipe ?? throw PerennialException.Usage("experiment 'sparse-phases' needs a recipe");
        var stages = new StageTraining(context);
        var plain = stages.Write("plain", DescriptionWorld.Texts(12000, context.Seed));
        int[] train = [.. DescriptionWorld.Of(DescriptionWorld.Part.Train, context.Seed)], choose = [.. DescriptionWorld.Of(DescriptionWorld.Part.Choose, context.Seed).Take(options.Tested)], test = [.. DescriptionWorld.Of(DescriptionWorld.Part.Test, context.Seed).Take(options.Tested)];
        var tasks = stages.Write("tasks", train.Take(options.Examples[1]).Select(index => DescriptionWorld.Task(index).Document));
        // One tokenizer for both phases and all arms of a seed: trained on what either phase reads.
        var tokenizer = stages.Tokenizer(recipe, plain, tasks, "corpus/austen/emma.txt");
        recipe = recipe.With("data.tokenizer", $"{{ kind: file, path: {tokenizer} }}");
        var words = TokenizerJson.Load(tokenizer);
        var measures = new Dictionary<string, double>();
        string? start = null;
        if (options.Pretrain)
        {
            start = stages.Train("pretrain", recipe.With("data.sources", $"[{{ path: {plain}, weight: 1 }}, {{ path: corpus/austen, weight: 1 }}]"), out var outcome);
            measures["pretrain-loss"] = outcome.Final["raw"]["loss"];
            measures["pretrain-flops"] = outcome.Flops;
        }
        foreach (var (size, label) in new[] { (options.Examples[0], "small"), (options.Examples[1], "large") })
        {
            var set = stages.Write($"tasks-{label}", train.Take(size).Select(index => DescriptionWorld.Task(index).Document));
            Score(label, set, recipe.With("parameterization", "dense"));
            if (options.SparseTuning) Score($"masked-{label}", set, recipe);
        }
        return new ExperimentOutcome { Measures = measures, Parameters = stages.Parameters, Tokens = stages.Tokens, Flops = stages.Flops };

        void Score(string label, string set, RecipeNode form)
        {
            var tuned = options.TuneRates.Select((rate, i) => (Rate: rate, Folder: stages.Train($"{label}-{i}", (start is null ? form : form.With("model", $"{{ kind: checkpoint, path: {start} }}"))
                .With("data.sources", $"[{{ path: {set} }}]").With("data.documents", "separate").With("data.holdout", "0").With("objective", $"{{ kind: response, after: \"{Exercise.Separator}\" }}")
                .With("training.steps", options.TuneSteps.ToString(CultureInfo.InvariantCulture)).With("optimizer.rate", rate.ToString("R", CultureInfo.InvariantCulture))))).ToList();
            var (best, folder) = tuned.MinBy(one => Exact(one.Folder, choose).Wrong);
            measures[$"rate-{label}"] = best;
            var (wrong, slots) = Exact(folder, test);
            measures[$"exact-{label}"] = 100 - wrong;
            measures[$"slots-{label}"] = slots;
            context.Progress.Report(label.EndsWith("small", StringComparison.Ordinal) ? 0.7 : 0.9);
        }

        (double Wrong, double Slots) Exact(string folder, int[] combinations)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            using var model = StageTraining.Load(folder);
            var answers = combinations.Select(index => (Index: index, Task: DescriptionWorld.Task(index))).Select(one => (one.Index, one.Task.Answer, Said: Answers.Of(model, words, one.Task))).ToList();
            return (100 * answers.Average(one => one.Said == one.Answer ? 0.0 : 1.0), 100 * answers.Average(one => DescriptionWorld.SlotsNamed(one.Index, one.Said)));
        }
    }
}
