using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>What optimizers that are AdamW, or AdamW where they are nothing else, have in common in a recipe.</summary>
public abstract record AdamOptions : IOptimizerOptions, IValidatedOptions
{
    /// <summary>Peak learning rate.</summary>
    [Range(0.0, 100)]
    public double Rate { get; init; } = 1e-3;

    /// <summary>Decoupled weight decay of matrices and tables; norms and biases are spared.</summary>
    [Range(0.0, 100)]
    public double Decay { get; init; } = 0.1;

    /// <summary>Decay rates of the first and second moment.</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.95];

    /// <summary>Added to the root of the second moment.</summary>
    [Range(0.0, 1)]
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Largest global gradient norm; 0 means no clipping.</summary>
    [Range(0.0, double.MaxValue)]
    public double Clip { get; init; } = 1.0;

    /// <inheritdoc/>
    public abstract OptimizerCost Cost(FlatLayout layout);

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems() => BetaRule.Problems(Betas);

    /// <summary>One step's numbers.</summary>
    internal AdamStep Adam(long step, double rate, double gradientScale) => new(step, rate, gradientScale, Betas[0], Betas[1], Epsilon, Decay);
}
