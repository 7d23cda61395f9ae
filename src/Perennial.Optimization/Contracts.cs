using Perennial.Core;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>What every optimizer's options carry beside its own.</summary>
public interface IOptimizerOptions
{
    /// <summary>Peak learning rate; the schedule multiplies it.</summary>
    double Rate { get; }

    /// <summary>Largest global gradient norm; 0 means no clipping.</summary>
    double Clip { get; }

    /// <summary>What the optimizer with these options would keep and do for a layout, before any memory is taken. Its own documentation states the formula.</summary>
    OptimizerCost Cost(FlatLayout layout);
}

/// <summary>What an optimizer costs.</summary>
/// <param name="StateBytes">Bytes of all its slots.</param>
/// <param name="MovedBytes">Bytes that one step must read and write in main memory at least: every operand once each way, what stays in the caches left out.</param>
/// <param name="Flops">Floating-point operations of one step's matrix products; 0 for element-wise optimizers.</param>
/// <param name="Products">Precision of those products.</param>
/// <param name="FixedOperations">Operations (a multiplication and an addition are two) of its products of 16-bit integers.</param>
public readonly record struct OptimizerCost(long StateBytes, long MovedBytes, double Flops = 0, Precision Products = Precision.Float32, double FixedOperations = 0);

/// <summary>Options that leave something to the machine.</summary>
public interface IMachineOptions
{
    /// <summary>The options with all of it decided; the run folder keeps them, so that a resume on another machine changes nothing.</summary>
    /// <param name="stored">What the run folder has, or null.</param>
    /// <param name="hasNativeBfloat16">Whether the processor has bfloat16 products.</param>
    IOptimizerOptions Decide(IOptimizerOptions? stored, bool hasNativeBfloat16);
}

/// <summary>Options of an optimizer whose steps are not all alike: now and then one also makes a basis anew.</summary>
public interface IPeriodicOptions
{
    /// <summary>Steps from one such step to the next.</summary>
    int UpdateGap { get; }

    /// <summary>Whether the step with this one-based number is one.</summary>
    bool IsRefresh(long step);
}

/// <summary>
/// Moves flat parameters. Constructor services: its options, <see cref="FlatParameters"/>. A step is a pure function of
/// (parameters, gradients, slots, step number, rate).
/// </summary>
[ComponentRole("optimizer")]
public interface IOptimizer : IDisposable
{
    /// <summary>Flat state that must be saved with the parameters.</summary>
    IReadOnlyList<StateSlot> Slots { get; }

    /// <summary>Applies one update.</summary>
    /// <param name="step">One-based number of this update (for bias correction).</param>
    /// <param name="rate">Learning rate of this update.</param>
    /// <param name="gradientScale">Factor on every gradient (the clip), folded into the same pass.</param>
    void Step(long step, double rate, double gradientScale);

    /// <summary>Whether the update of one element needs its whole tensor: then processes that share the optimizer's work may only divide between tensors.</summary>
    bool NeedsWhole(FlatEntry entry) => false;

    /// <summary>Weights to evaluate and to ship in place of the trained ones; null where the trained ones are meant.</summary>
    DerivedWeights? Derived => null;
}

/// <summary>Weights that are a function of the training state.</summary>
/// <param name="Name">What evaluations and the checkpoint's folder call them.</param>
/// <param name="Fill">
/// Writes them: flat parameters, slots (the optimizer's, by name, among others) and the destination, float32 <c>[length]</c>. It may run
/// on copies of the state, beside training.
/// </param>
public sealed record DerivedWeights(string Name, Action<TorchSharp.torch.Tensor, IReadOnlyList<StateSlot>, TorchSharp.torch.Tensor> Fill);

/// <summary>
/// An optimizer that can update some entries before the others' gradients exist, so that no more than one group's gradient is ever held
/// (Lv et al. 2023, LOMO; GaLore's per-layer updates).
/// </summary>
public interface IEntryOptimizer : IOptimizer
{
    /// <summary>Applies the update to some entries. In one step every entry is given exactly once, in any order; the result does not depend on the order.</summary>
    /// <param name="entries">Whose gradients are whole.</param>
    /// <param name="step">One-based number of this update.</param>
    /// <param name="rate">Learning rate of this update.</param>
    /// <param name="gradientScale">Factor on these entries' gradients.</param>
    void StepEntries(IReadOnlyList<FlatEntry> entries, long step, double rate, double gradientScale);
}

/// <summary>
/// Marks an optimizer whose update of an element depends on that element's own value, gradient and slots alone, with slots of one float32 an
/// element (and counters that are the same everywhere): it works on any stretch of the flat parameters, so ZeRO and tensor parallelism may cut anywhere. Without the mark ZeRO cuts
/// between tensors only, and tensor parallelism is refused.
/// </summary>
public interface IElementwiseOptimizer : IOptimizer;

/// <summary>The learning rate's shape. Pure.</summary>
[ComponentRole("schedule")]
public interface ISchedule
{
    /// <summary>Multiplier of the peak rate for the update that follows <paramref name="step"/> finished steps.</summary>
    /// <param name="step">Zero-based step of the run, or stage.</param>
    /// <param name="plan">The run, or stage.</param>
    double Factor(long step, SchedulePlan plan);

    /// <summary>
    /// Finished steps at which the state is still fit for a longer plan: where the last decay begins. A finished run that is extended goes on
    /// from there. <see cref="SchedulePlan.TotalSteps"/> where the end itself is what one goes on from.
    /// </summary>
    long TrunkEnd(SchedulePlan plan);
}
