using Perennial.Core;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;
using Perennial.Training.Checkpoints;
using Perennial.Training.Recipes;

namespace Perennial.Training.Runs;

/// <summary>The sample stream of a recipe outside of training: for looking, counting and checking.</summary>
public static class RunSamples
{
    /// <summary>Prepares all text of a recipe, that of its stages included.</summary>
    /// <exception cref="PerennialException">As <see cref="DataPreparation"/> says.</exception>
    public static PreparedData Prepare(Recipe recipe, Action<string>? notify, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        return DataPreparation.Prepare(recipe.Data with { Sources = StageRecipe.AllSources(recipe) }, recipe.Seed, notify, cancellation);
    }

    /// <summary>Makes the stream; of a run of stages, the first one's.</summary>
    /// <param name="recipe">The bound recipe.</param>
    /// <param name="data">Its prepared data.</param>
    /// <param name="place">A run folder or a checkpoint whose recorded mixture is replayed; null where the recipe alone decides.</param>
    /// <exception cref="PerennialException">Exit 2: no checkpoint there, or the recipe does not fit. Exit 3: damaged.</exception>
    public static SampleStream Of(Recipe recipe, PreparedData data, string? place = null)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        ArgumentNullException.ThrowIfNull(data);
        var time = recipe.Model.Create().Describe(data.Tokenizer.VocabularySize, data.Tokenizer.EndOfText).Context;
        var stages = StageRecipe.Of(recipe);
        var stream = new Loop.RunStage(0, stages[0], data, time, Loop.RunStage.DistinctPractices(stages)).Stream;
        if (place is null) return stream;
        var progress = CheckpointFiles.ReadProgress(Checkpoint(place));
        stream.Replay(progress.Stage == 0 ? progress.Mixture : progress.EarlierMixtures?[0]);
        return stream;
    }

    private static string Checkpoint(string place)
    {
        if (Directory.Exists(Path.Combine(place, "state"))) return place;
        return new RunFolder(place).Checkpoints.Newest(_ => { })?.Folder ?? throw PerennialException.Usage($"{place}: is no checkpoint and no run folder with one");
    }
}
