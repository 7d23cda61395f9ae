using Perennial.Core;
using Perennial.Data;
using Perennial.Models;
using Perennial.Optimization;
using Perennial.Tensors;
using Perennial.Training.Practices;
using Perennial.Training.Recipes;
using static TorchSharp.torch;

namespace Perennial.Training.Loop;

/// <summary>What a step came to.</summary>
/// <param name="Loss">The loss.</param>
/// <param name="Norm">Global gradient norm before clipping.</param>
/// <param name="Refusal">Why nothing was moved; null where the step was taken.</param>
internal readonly record struct StepResult(double Loss, double Norm, string? Refusal);

/// <summary>
/// Forward, then backward with every layer updated as soon as its gradient is whole (Lv et al. 2023, "Full parameter fine-tuning with limited
/// resources"). The loss is judged before anything moves. A gradient that is not finite is seen only when others have been used up: the run stops, and the newest checkpoint stands.
/// </summary>
internal sealed class PerLayerUpdates(RunParts parts)
{
    private readonly IEntryOptimizer optimizer = (IEntryOptimizer)parts.Optimizer;
    private readonly HashSet<string> told = new(StringComparer.Ordinal);

    private FlatParameters Parameters => parts.State.Parameters;

    /// <summary>Refuses what cannot go together with memory that gradients share.</summary>
    /// <exception cref="PerennialException">Exit 2, naming the key.</exception>
    public static void Require(Recipe recipe, IOptimizer optimizer, IOptimizerOptions rates, IEnumerable<IPractice> practices)
    {
        if (rates.Clip > 0) throw PerennialException.Usage($"optimizer.clip: {rates.Clip} limits the norm of the whole gradient, which training.per-layer never has; set optimizer.clip to 0, and training.per-layer-clip if a limit for each tensor is wanted");
        if (optimizer is not IEntryOptimizer) throw PerennialException.Usage($"optimizer: '{recipe.Optimizer.Kind}' updates all parameters at once; training.per-layer needs one that can update some");
        var reader = practices.Zip(recipe.Practices).FirstOrDefault(pair => pair.First.GetType().GetMethod(nameof(IPractice.AfterBackward))?.DeclaringType != typeof(Practice));
        if (reader.First is not null) throw PerennialException.Usage($"practices: '{reader.Second.Kind}' reads or changes the whole gradient, which training.per-layer never has; leave one of them out");
    }

    /// <summary>One step.</summary>
    /// <param name="batch">The whole batch.</param>
    /// <param name="step">One-based number of the update.</param>
    /// <param name="rate">Learning rate.</param>
    /// <param name="refuse">Judges the loss: why nothing may move, or null.</param>
    /// <param name="beforeUpdate">Called once, before anything moves.</param>
    public StepResult Run(TokenBatch batch, long step, double rate, Func<double, string?> refuse, Action beforeUpdate)
    {
        using var scope = NewDisposeScope();
        told.Clear();
        Parameters.ClearGradients();
        parts.Model.Dropout = parts.Config.Dropout > 0 ? new DropoutKey(parts.Recipe.Seed, parts.State.Progress.Step + 1, batch.SampleIds) : null;
        var loss = parts.Objective.Loss(parts.Model, batch, Math.Max(1, parts.Objective.Targets(batch)));
        var value = (double)loss.item<float>();
        if (refuse(value) is { } reason) return new(value, 0, reason);
        // The fused head has made its gradient in the forward pass; an objective that makes it later would write over the embedding's.
        if (!Parameters.HasGradient(parts.Model.HeadName)) throw PerennialException.Usage($"training.per-layer: objective '{parts.Recipe.Objective.Kind}' does not make the head's gradient with the loss; take objective: causal");
        beforeUpdate();
        var squares = 0.0;
        Parameters.GradientsWritten = entries => squares += Update(entries, step, rate);
        try
        {
            loss.backward();
            Parameters.CompleteGradients();
        }
        finally
        {
            Parameters.GradientsWritten = null;
        }
        if (Parameters.Layout.Entries.FirstOrDefault(entry => !told.Contains(entry.Name)) is { } left) throw new InvalidOperationException($"'{left.Name}' was not updated");
        return new(value, Math.Sqrt(squares), null);
    }

    private double Update(IReadOnlyList<FlatEntry> entries, long step, double rate)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var total = 0.0;
        foreach (var entry in entries)
        {
            if (!told.Add(entry.Name)) throw new InvalidOperationException($"'{entry.Name}' was updated twice in one step");
            var squares = GradientNorm.SquaresOf(Parameters.Gradient(entry.Name));
            if (!double.IsFinite(squares))
                throw PerennialException.Failed($"step {step}: the gradient of '{entry.Name}' is not finite, and with training.per-layer other layers have moved already; the run stops, run the same command again to go on from the newest checkpoint");
            total += squares;
            optimizer.StepEntries([entry], step, rate, new GradientNorm(Math.Sqrt(squares)).ClipScale(parts.Recipe.Training.PerLayerClip));
        }
        return total;
    }
}
