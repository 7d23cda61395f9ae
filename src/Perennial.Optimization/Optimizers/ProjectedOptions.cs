using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>What GaLore and Fira have in common in a recipe.</summary>
public abstract record ProjectedOptions : IOptimizerOptions, IPeriodicOptions, IValidatedOptions
{
    /// <summary>Peak learning rate; several times AdamW's, as the projected update is scaled by <see cref="Scale"/>.</summary>
    [Range(0.0, 100)]
    public double Rate { get; init; } = 1e-2;

    /// <summary>Rate of the embedding, the head and vectors (AdamW) as a multiple of <see cref="Rate"/>; when left out, that of <see cref="Scale"/>.</summary>
    [Range(0.0, 1000)]
    public double? OtherRate { get; init; }

    /// <summary>Rank that gradients are projected to, at most a matrix's short side; 0 for a quarter of it.</summary>
    [Range(0, 65536)]
    public int Rank { get; init; }

    /// <summary>Steps from one singular value decomposition of the gradients to the next.</summary>
    [Range(1, 1_000_000)]
    public int UpdateGap { get; init; } = 200;

    /// <summary>Factor on the update that is carried back.</summary>
    [Range(0.0, 100)]
    public double Scale { get; init; } = 0.25;

    /// <summary>Decoupled weight decay of matrices and tables; norms and biases are spared.</summary>
    [Range(0.0, 100)]
    public double Decay { get; init; }

    /// <summary>Decay rates of the first and second moment.</summary>
    public IReadOnlyList<double> Betas { get; init; } = [0.9, 0.999];

    /// <summary>Added to the root of the second moment.</summary>
    [Range(0.0, 1)]
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Largest global gradient norm; 0 means no clipping.</summary>
    [Range(0.0, double.MaxValue)]
    public double Clip { get; init; }

    /// <inheritdoc/>
    public bool IsRefresh(long step) => (step - 1) % UpdateGap == 0;

    /// <inheritdoc/>
    public abstract OptimizerCost Cost(FlatLayout layout);

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems() => BetaRule.Problems(Betas);

    internal double RestRate(double rate) => rate * (OtherRate ?? Scale);

    internal AdamStep Adam(long step, double rate, double gradientScale) => new(step, rate, gradientScale, Betas[0], Betas[1], Epsilon, Decay);

    internal static (IReadOnlyList<MatrixPart> Parts, IReadOnlyList<FlatEntry> Others) Split(FlatLayout layout) =>
        ([.. MatrixPart.Of(layout.Entries)], [.. layout.Entries.Where(entry => entry.Kind != EntryKind.Matrix)]);
}
