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
}

/// <summary>The learning rate's shape. Pure.</summary>
[ComponentRole("schedule")]
public interface ISchedule
{
    /// <summary>Multiplier of the peak rate for the update that follows <paramref name="step"/> finished steps.</summary>
    /// <param name="step">Zero-based step.</param>
    /// <param name="totalSteps">Planned steps of the run.</param>
    /// <param name="tokensPerStep">Tokens of one step, to read lengths given in tokens.</param>
    double Factor(long step, long totalSteps, long tokensPerStep);
}
