using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Models;

/// <summary>Options of <see cref="SltrainParameterization"/>.</summary>
public sealed record SltrainOptions : LowRankOptions
{
    /// <summary>Share of a matrix's entries in the sparse part.</summary>
    [Range(0.0, 1.0, MinimumIsExclusive = true)]
    public double Density { get; init; } = 0.03;

    /// <summary>Key of the random support; the run's seed when left out.</summary>
    public ulong? SupportSeed { get; init; }

    /// <summary>Weight refactorization (of B·A alone) and momentum reset.</summary>
    public RefactorizationOptions Restarts { get; init; } = new();
}

/// <summary>
/// SLTrain: W = (α/r)·B·A + S with a fixed random support of S (Han et al. 2024, arXiv 2406.02214). B starts at zero, so S carries the
/// first signal. W exists for one layer at a time, while it is used. A matrix of m·n numbers with k = ⌊δmn⌋ values takes, with AdamW,
/// 16·(r(m+n) + k) bytes, and 4·(k + m + 1) for the places of S (row starts and 32-bit positions).
/// </summary>
[Component("sltrain")]
public sealed class SltrainParameterization(SltrainOptions options) : IParameterization
{
    /// <inheritdoc/>
    public WeightForm Form => new()
    {
        LowRank = new(options.Rank, options.Alpha, StartsAtZero: true),
        Sparse = new(options.Density, StartsDense: false, options.SupportSeed),
        Targets = options.Targets,
        Restarts = options.Restarts.ToRestarts(),
    };
}
