using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Models;

/// <summary>What parameterizations of blocks' matrices share in a recipe.</summary>
public abstract record TargetedOptions
{
    /// <summary>Which matrices: <c>attention</c> (q, k, v, o), <c>mlp</c> (the feed-forward part).</summary>
    [MinLength(1)]
    public IReadOnlyList<WeightTarget> Targets { get; init; } = [WeightTarget.Attention, WeightTarget.Mlp];
}

/// <summary>What parameterizations with a low-rank part share in a recipe.</summary>
public abstract record LowRankOptions : TargetedOptions
{
    /// <summary>Rank r; a matrix whose smaller side is below it takes that side.</summary>
    [Range(1, 65536)]
    public int Rank { get; init; } = 8;

    /// <summary>α: the low-rank part is (α/r)·B·A.</summary>
    [Range(0.0, 1e6, MinimumIsExclusive = true)]
    public double Alpha { get; init; } = 16;
}

/// <summary>Options of <see cref="LoraParameterization"/>.</summary>
public sealed record LoraOptions : LowRankOptions;

/// <summary>
/// LoRA: W = F + (α/r)·B·A with F dense and frozen, B starting at zero (Hu et al. 2021, arXiv 2106.09685). A matrix of m·n numbers takes
/// 4·mn bytes of F and, with AdamW, 16·r(m+n) of factors, gradients and moments.
/// </summary>
[Component("lora")]
public sealed class LoraParameterization(LoraOptions options) : IParameterization
{
    /// <inheritdoc/>
    public WeightForm Form => new() { Frozen = true, LowRank = new(options.Rank, options.Alpha, StartsAtZero: true), Targets = options.Targets };
}
