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
    /// <exception cref="PerennialException">Exit 2: the optimizer keeps more than moments, or a share is to stay of slots that are no moments of single parameters.</exception>
    public Restarts(RestartOptions plan, ILanguageModel model, IOptimizer optimizer, Recipe recipe)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(optimizer);
        ArgumentNullException.ThrowIfNull(recipe);
        (this.plan, this.model, this.optimizer, seed) = (plan, model, optimizer, recipe.Seed);
        var kind = recipe.Optimizer.Kind;
        // Weights and bases are not moments: to zero them would be to lose the model in silence.
        if (plan.Reset != MomentReset.None && (optimizer.Derived is not null || recipe.Optimizer.Options is IPeriodicOptions))
            throw PerennialException.Usage($"parameterization: restarts forget moments, but optimizer '{kind}' keeps more than moments; take adamw, or restarts without a reset");
        if (plan.Reset is MomentReset.Random or MomentReset.Magnitude && optimizer.Slots.FirstOrDefault(slot => Factors.Any(entry => !IsElementwise(slot, entry))) is { } other)
            throw PerennialException.Usage($"parameterization.reset: a share of each slot is to stay, but slot '{other.Name}' of optimizer '{kind}' has no number of its own for each parameter; take reset: all or none, or adamw");
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
            foreach (var entry in Factors)
                foreach (var slot in optimizer.Slots)
                    Prune(slot, entry, step);
        }
        return null;
    }

    private IEnumerable<FlatEntry> Factors => model.Map!.Matrices.SelectMany(matrix => new[] { matrix.A!, matrix.B! });

    private static bool IsElementwise(StateSlot slot, FlatEntry entry) =>
        slot.Values.dtype == ScalarType.Float32 && (slot.Index is null || slot.Index.Parts.All(part => part.Grain == 1 || !Overlaps(part, entry)));

    private static bool Overlaps(SlotPart part, FlatEntry entry) => part.Parameter < entry.Offset + entry.Length && entry.Offset < part.Parameter + part.Parameters;

    private void Prune(StateSlot slot, FlatEntry entry, long step)
    {
        // A slot may be about some parameters only (Muon's about matrices, AdamW's beside it about the rest).
        var offset = entry.Offset;
        if (slot.Index is { } index)
        {
            if (index.Parts.FirstOrDefault(part => Overlaps(part, entry)) is not { } place) return;
            offset = place.Offset + entry.Offset - place.Parameter;
        }
        using var scope = NewDisposeScope();
        var values = slot.Values.narrow(0, offset, entry.Length);
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
