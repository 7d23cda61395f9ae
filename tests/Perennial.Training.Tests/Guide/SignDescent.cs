using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>Options of <see cref="SignDescent"/>.</summary>
public sealed record SignDescentOptions : IOptimizerOptions
{
    /// <summary>Peak learning rate.</summary>
    [Range(0.0, 100)]
    public double Rate { get; init; } = 1e-4;

    /// <summary>Largest global gradient norm; 0 means no clipping.</summary>
    [Range(0.0, double.MaxValue)]
    public double Clip { get; init; } = 1.0;

    /// <summary>What every step takes off the parameters, as a multiple of the rate.</summary>
    [Range(0.0, 10)]
    public double WeightDecay { get; init; }

    /// <inheritdoc/>
    public OptimizerCost Cost(FlatLayout layout) => new(StateBytes: 0, MovedBytes: layout.Length * 3 * sizeof(float));
}

/// <summary>Moves every parameter by the sign of its gradient.</summary>
[Component("sign-descent")]
public sealed class SignDescent(SignDescentOptions options, FlatParameters parameters) : IOptimizer
{
    /// <inheritdoc/>
    public IReadOnlyList<StateSlot> Slots => [];

    /// <inheritdoc/>
    public void Step(long step, double rate, double gradientScale)
    {
        using var direction = parameters.Gradients.sign();
        parameters.Values.mul_(1 - rate * options.WeightDecay).add_(direction, alpha: -rate);
    }

    /// <inheritdoc/>
    public void Dispose() { }
}
