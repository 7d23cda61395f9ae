using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Models;

/// <summary>Options of <see cref="SparseParameterization"/>.</summary>
public sealed record SparseOptions : TargetedOptions
{
    /// <summary>Share of a matrix's entries that are zero and stay zero.</summary>
    [Range(0.0, 1.0, MaximumIsExclusive = true)]
    public double Sparsity { get; init; } = 0.75;

    /// <summary>Key of the random mask; the run's seed when left out. Training on from a sparse checkpoint needs the mask it was trained with.</summary>
    public ulong? SupportSeed { get; init; }
}

/// <summary>
/// Static sparse masks: a random share of every matrix is zero from beginning to end (SPDF's first phase, Thangarasu et al. 2023, arXiv
/// 2303.10464). Zeros have neither gradient nor moments, for only the others are stored: a matrix of m·n numbers with k = ⌊(1−s)mn⌋ values
/// takes, with AdamW, 16·k bytes and 4·(k + m + 1) for their places. The second phase is a dense run from the checkpoint.
/// </summary>
[Component("sparse")]
public sealed class SparseParameterization(SparseOptions options) : IParameterization
{
    /// <inheritdoc/>
    public WeightForm Form => new() { Sparse = new(1 - options.Sparsity, StartsDense: true, options.SupportSeed), Targets = options.Targets };
}
