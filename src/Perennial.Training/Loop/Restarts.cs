using Perennial.Core;
using Perennial.Models;
using Perennial.Optimization;
using Perennial.Tensors;
using Perennial.Training.Recipes;
using static TorchSharp.torch;

namespace Perennial.Training.Loop;

/// <summary>
/// What happens at a restart, in this order: the matrices' parts (merge, refactorization), the optimizer's slots, and from the next step
/// on the rate's ramp. A pure function of the state and the step, so a resume needs nothing but the step.
/// </summary>
public sealed class Restarts
{
    private readonly RestartOptions plan;
    private readonly ILanguageModel model;
    private readonly IOptimizer optimizer;
    private readonly ulong seed;

    /// <summary>Checks that the optimizer's slots can be reset as the plan asks.</summary>
    /// <exception cref="PerennialException">Exit 2: a share of the slots is to stay, but they do not follow the parameters.</exception>
    public Restarts(RestartOptions plan, ILanguageModel model, IOptimizer optimizer, Recipe recipe)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        (this.plan, this.model, this.optimizer, seed) = (plan, model, optimizer, recipe.Seed);
        if (plan.Reset is MomentReset.Random or MomentReset.Magnitude && optimizer.Slots.FirstOrDefault(slot => !Follows(slot)) is { } other)
            throw PerennialException.Usage($"parameterization.reset: a share of each slot is to stay, but slot '{other.Name}' of optimizer '{recipe.Optimizer.Kind}' is not laid out as the parameters are; take reset: all or none, or adamw");
    }

    /// <summary>The rate's factor after so many finished steps.</summary>
    public double Factor(long step, Func<long, double> schedule) => plan.Ramp(step, schedule);

    /// <summary>To be called after the optimizer's step; returns from which step the optimizer counts now, or null where that did not change.</summary>
    /// <param name="step">Finished steps, that one included.</param>
    public long? After(long step)
    {
        if (!plan.IsDue(step)) return null;
        using var _ = no_grad();
        WeightRestart.Apply(model.Map!, model.Parameters, seed, step);
        if (plan.Reset == MomentReset.All)
        {
            foreach (var slot in optimizer.Slots) slot.Values.zero_();
            return step;
        }
        if (plan.Reset != MomentReset.None)
        {
            foreach (var entry in model.Map!.Matrices.SelectMany(matrix => new[] { matrix.A!, matrix.B! }))
                foreach (var slot in optimizer.Slots)
                    Prune(slot, entry, step);
        }
        return null;
    }

    private bool Follows(StateSlot slot) => slot.Values.dtype == ScalarType.Float32 && slot.Values.NumberOfElements == model.Parameters.Layout.Length;

    private void Prune(StateSlot slot, FlatEntry entry, long step)
    {
        using var scope = NewDisposeScope();
        var values = slot.Values.narrow(0, entry.Offset, entry.Length);
        if (plan.Reset == MomentReset.Magnitude)
        {
            var sizes = values.abs();
            var kept = (long)Math.Round(plan.Keep * entry.Length);
            if (kept == 0) values.zero_();
            else if (kept < entry.Length) values.mul_(sizes.ge(sizes.kthvalue(entry.Length - kept + 1, 0).values));
            return;
        }
        // Drawn by place, alike for every slot: a moment stays together with its square.
        var span = TensorMemory.Span<float>(values);
        for (var i = 0; i < span.Length; i++)
            if (Philox.Uniform(seed, RandomPurpose.Practice, (ulong)step, 1UL << 47 | (ulong)(entry.Offset + i)) >= plan.Keep) span[i] = 0;
    }
}
