using Perennial.Core;

namespace Perennial.Models;

/// <summary>Options of <see cref="OutlierSafeParameterization"/>.</summary>
public sealed record OutlierSafeOptions : IValidatedOptions
{
    /// <summary>Whether every RMSNorm has one scale for all channels.</summary>
    public bool SingleScaleNorm { get; init; } = true;

    /// <summary>Whether orthogonally started matrices stand after the embedding and before the head; needs <c>model.tied-head: false</c>.</summary>
    public bool EmbeddingProjection { get; init; } = true;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (!SingleScaleNorm && !EmbeddingProjection) yield return ("single-scale-norm", "and 'embedding-projection' are both off; that is parameterization: dense");
    }
}

/// <summary>
/// Shapes without outlier channels (Park et al. 2025, "Outlier-safe pre-training", arXiv 2506.19697): single-scale RMSNorm and projections of
/// embedding and head, to be trained with Muon (the tables stay AdamW's). Checkpoints hold an ordinary Llama: E·P_inᵀ, H·P_out and γ for every channel.
/// Memory: 32·width² bytes more with AdamW, 8·width·layers fewer of norms.
/// </summary>
[Component("outlier-safe")]
public sealed class OutlierSafeParameterization(OutlierSafeOptions options) : IParameterization
{
    /// <inheritdoc/>
    public WeightForm Form => new() { ScalarNorms = options.SingleScaleNorm, EmbeddingProjection = options.EmbeddingProjection, Targets = [] };
}
