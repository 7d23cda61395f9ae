using Perennial.Core;
using Perennial.Optimization;
using Perennial.Training.Loop;
using Perennial.Training.Recipes;

namespace Perennial.Training.Runs;

/// <summary>Fills in what a recipe leaves to the machine, so that the run folder says what was really used.</summary>
public static class RecipeResolution
{
    /// <summary>The recipe with precision, threads, micro-batch and what the optimizer leaves open decided. What a stored recipe decided stays decided.</summary>
    /// <param name="recipe">As given.</param>
    /// <param name="stored">The run folder's, or null.</param>
    /// <param name="hasNativeBfloat16">Whether this processor has bfloat16 products.</param>
    public static Recipe Resolve(Recipe recipe, Recipe? stored, bool hasNativeBfloat16)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        var training = recipe.Training;
        var precision = training.Precision != PrecisionChoice.Auto ? training.Precision
            : stored?.Training.Precision ?? (hasNativeBfloat16 ? PrecisionChoice.Bfloat16 : PrecisionChoice.Float32);
        // The context is the window; it comes from the architecture whatever the vocabulary.
        var context = recipe.Model.Create().Describe(vocabulary: 1 << 16, endOfText: 0).Context;
        var optimizer = recipe.Optimizer.Options is IMachineOptions options
            ? recipe.Optimizer with { Options = options.Decide(stored?.Optimizer.Options as IOptimizerOptions, hasNativeBfloat16) }
            : recipe.Optimizer;
        return recipe with
        {
            Optimizer = optimizer,
            Training = training with
            {
                Precision = precision,
                Threads = training.Threads ?? stored?.Training.Threads ?? Environment.ProcessorCount,
                MicroBatch = training.MicroBatch ?? stored?.Training.MicroBatch ?? (training.PerLayer ? (int?)training.Batch : null) ?? MicroBatches.DefaultRows(training.Batch, context),
            },
        };
    }

    /// <summary>Refuses to go on when the recipe changed in a way that makes it another experiment.</summary>
    /// <exception cref="PerennialException">Exit 2, with the differences.</exception>
    public static IReadOnlyList<RecipeChange> RequireSame(Recipe stored, Recipe asked, string folder)
    {
        var changes = RecipeChange.Between(stored, asked);
        var refused = changes.Where(change => !IsAllowed(change, stored, asked)).ToList();
        if (refused.Count > 0)
            throw PerennialException.Usage($"{folder}: the recipe differs from the one this run was started with ({string.Join("; ", refused)}); use --fresh to start over, or --run for another folder");
        return changes;
    }

    /// <summary>In a recipe of stages only the last one may still be made longer: the others may be over.</summary>
    private static bool IsAllowed(RecipeChange change, Recipe stored, Recipe asked)
    {
        if (asked.Stages.Count == 0 || stored.Stages.Count != asked.Stages.Count) return change.IsAllowed;
        var last = $"stages.{asked.Stages.Count - 1}.";
        if (change.Key == last + "tokens" || change.Key == last + "steps") return true;
        var inherits = asked.Stages.SkipLast(1).Any(stage => stage.Tokens is null && stage.Steps is null);
        return change.IsAllowed && !(inherits && (change.Key is "training.tokens" or "training.steps"));
    }
}
