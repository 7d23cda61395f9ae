using Perennial.Core;

namespace Perennial.Models;

/// <summary>What may happen every so many steps to parameterizations that are trained from scratch.</summary>
public sealed record RefactorizationOptions : IValidatedOptions
{
    /// <summary>Steps between restarts; 0 for none. The reference takes 200.</summary>
    [System.ComponentModel.DataAnnotations.Range(0, int.MaxValue)]
    public int Every { get; init; }

    /// <summary>Whether B and A are balanced by a singular value decomposition of B·A; the function stays.</summary>
    public bool Refactorize { get; init; } = true;

    /// <summary>Whether the optimizer begins anew: slots zeroed, count of steps from zero.</summary>
    public bool ResetMoments { get; init; } = true;

    /// <summary>Steps over which the rate climbs back.</summary>
    [System.ComponentModel.DataAnnotations.Range(0, int.MaxValue)]
    public int Recover { get; init; } = 10;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Every > 0 && Recover >= Every) yield return ("recover", $"must be below every ({Every}): the rate would never be back");
    }

    internal RestartOptions? ToRestarts() => Every == 0 ? null : new RestartOptions
    {
        Every = Every, Refactorize = Refactorize, Reset = ResetMoments ? MomentReset.All : MomentReset.None, Recover = Recover,
    };
}

/// <summary>Options of <see cref="LowRankParameterization"/>.</summary>
public sealed record LowRankTrainingOptions : LowRankOptions
{
    /// <summary>Weight refactorization and momentum reset.</summary>
    public RefactorizationOptions Restarts { get; init; } = new();
}

/// <summary>
/// W = (α/r)·B·A, no dense matrix at all, both factors starting random, with weight refactorization and momentum reset if asked for
/// (Glentis et al. 2025, arXiv 2505.22922). A matrix of m·n numbers takes, with AdamW, 16·r(m+n) bytes.
/// </summary>
[Component("low-rank")]
public sealed class LowRankParameterization(LowRankTrainingOptions options) : IParameterization
{
    /// <inheritdoc/>
    public WeightForm Form => new() { LowRank = new(options.Rank, options.Alpha, StartsAtZero: false), Targets = options.Targets, Restarts = options.Restarts.ToRestarts() };
}
