using Perennial.Core.Recipes;
using Perennial.Tensors;
using Perennial.Training.Bench;
using Perennial.Training.Loop;
using Perennial.Training.Recipes;
using TorchSharp;

namespace Perennial.Training.Runs;

/// <summary>What <c>train --dry-run</c> shows: what would happen, before it does. Prepares data (which is cached) and trains nothing.</summary>
/// <param name="Recipe">The resolved recipe as YAML.</param>
/// <param name="Parameters">Number of parameters.</param>
/// <param name="Tokens">Tokens to train on.</param>
/// <param name="Steps">Steps.</param>
/// <param name="Epochs">Passes over the training text.</param>
/// <param name="Memory">Estimated memory.</param>
/// <param name="Seconds">Estimated training time at 70 % of the measured matrix-product ceiling; null when it was not measured.</param>
public sealed record RunPlan(string Recipe, long Parameters, long Tokens, long Steps, double Epochs, MemoryEstimate Memory, double? Seconds)
{
    private const double AssumedUtilization = 0.7;

    /// <summary>Plans a recipe.</summary>
    /// <param name="recipe">The bound recipe.</param>
    /// <param name="measureCeiling">Measures FLOP/s; may be null.</param>
    /// <param name="notify">Takes progress lines; may be null.</param>
    /// <exception cref="Core.PerennialException">As training would.</exception>
    public static RunPlan Of(Recipe recipe, Func<Precision, double>? measureCeiling = null, Action<string>? notify = null)
    {
        var resolved = RecipeResolution.Resolve(recipe, null, Bfloat16.IsNative);
        torch.set_num_threads(resolved.Training.Threads!.Value);
        using var parts = RunParts.Make(resolved, notify, CancellationToken.None);
        var tokens = parts.TotalSteps * parts.TokensPerStep;
        var ceiling = measureCeiling?.Invoke(parts.Model.Precision);
        return new RunPlan(
            RecipeWriter.ToYaml(resolved), parts.Model.Parameters.Layout.Length, tokens, parts.TotalSteps,
            parts.Stages.Sum(stage => stage.Steps * resolved.Training.Batch / (double)stage.Stream.SamplesPerEpoch),
            MemoryEstimate.Of(parts), ceiling > 0 ? tokens * TrainingFlops.PerToken(parts.Config, parts.Config.Context, parts.Model.Map) / (AssumedUtilization * ceiling) : null);
    }
}
