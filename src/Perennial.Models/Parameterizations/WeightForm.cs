using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Models;

/// <summary>
/// What the matrices of a decoder's blocks are made of: W = F + (α/r)·B·A + S, each part there or not. F is dense and gets no gradient,
/// B <c>[out, r]</c> and A <c>[r, in]</c> are trained, S has trained values at fixed places. Embedding, head, norms and biases are always
/// trained as they are.
/// </summary>
public sealed record WeightForm
{
    /// <summary>The matrices are parameters themselves.</summary>
    public static WeightForm Plain { get; } = new();

    /// <summary>Whether there is a dense part that no gradient reaches.</summary>
    public bool Frozen { get; init; }

    /// <summary>The low-rank part; null for none.</summary>
    public LowRankPart? LowRank { get; init; }

    /// <summary>The sparse part; null for none.</summary>
    public SparsePart? Sparse { get; init; }

    /// <summary>Which matrices have this form; the others are plain.</summary>
    public IReadOnlyList<WeightTarget> Targets { get; init; } = [WeightTarget.Attention, WeightTarget.Mlp];

    /// <summary>Whether an RMSNorm's weights are one number (single-scale RMSNorm, Park et al. 2025, arXiv 2506.19697): y = γ·x / √(mean(x²) + ε).</summary>
    public bool ScalarNorms { get; init; }

    /// <summary>
    /// Whether a matrix stands after the embedding and one before the head (Park et al. 2025): x₀ = P_in·E[token], logits = H·(P_out·norm(x)).
    /// The plain weights are E·P_inᵀ and H·P_out.
    /// </summary>
    public bool EmbeddingProjection { get; init; }

    /// <summary>What happens every so many steps; null for nothing.</summary>
    public RestartOptions? Restarts { get; init; }

    /// <summary>Whether the matrices are parameters themselves.</summary>
    public bool IsPlain => !Frozen && LowRank is null && Sparse is null && !ScalarNorms && !EmbeddingProjection;
}

/// <summary>A low-rank part (α/r)·B·A.</summary>
/// <param name="Rank">r; where a matrix's smaller side is below it, that side.</param>
/// <param name="Alpha">α; the factor is α over the rank named here.</param>
/// <param name="StartsAtZero">Whether B starts at zero (LoRA) and not, like A, uniform in ±1/√(fan-in).</param>
public sealed record LowRankPart(int Rank, double Alpha, bool StartsAtZero)
{
    /// <summary>The factor α/r before B·A.</summary>
    public double Scale => Alpha / Rank;
}

/// <summary>A sparse part with a fixed random support.</summary>
/// <param name="Density">Share of a matrix's entries that have a value: ⌊density · out · in⌋ of them.</param>
/// <param name="StartsDense">Whether values start as a dense matrix's would (then all others are cut away) and not uniform in ±1/√(fan-in).</param>
/// <param name="Seed">Key of the support; null for the run's seed.</param>
public sealed record SparsePart(double Density, bool StartsDense, ulong? Seed);

/// <summary>Matrices that a parameterization may be about.</summary>
public enum WeightTarget
{
    /// <summary>Queries, keys, values and the projection out of attention.</summary>
    Attention,

    /// <summary>The feed-forward part.</summary>
    Mlp,
}

/// <summary>What becomes of the optimizer's slots at a restart.</summary>
public enum MomentReset
{
    /// <summary>They stay.</summary>
    None,

    /// <summary>All slots of all parameters are zeroed and the count of steps (bias correction) begins anew: a fresh optimizer (Glentis et al. 2025, trick 2).</summary>
    All,

    /// <summary>Of the slots of A and B a random share stays, the rest is zeroed; the count of steps goes on (Lialin et al. 2023).</summary>
    Random,

    /// <summary>Of the slots of A and B the entries largest in magnitude stay, the rest is zeroed; the count of steps goes on (Lialin et al. 2023).</summary>
    Magnitude,
}

/// <summary>A restart every so many steps: after the optimizer's step, first the factors, then its slots, then the rate's ramp.</summary>
public sealed record RestartOptions : IValidatedOptions
{
    /// <summary>Steps between restarts; 0 for none.</summary>
    [Range(0, int.MaxValue)]
    public int Every { get; init; }

    /// <summary>Whether B·A moves into the dense part and begins anew (ReLoRA; needs a dense part).</summary>
    public bool Merge { get; init; }

    /// <summary>Whether B and A are balanced: B·A = UΣVᵀ, then B ← UΣ^½ and A ← Σ^½Vᵀ (Glentis et al. 2025, trick 1). The function stays.</summary>
    public bool Refactorize { get; init; }

    /// <summary>What becomes of the optimizer's slots.</summary>
    public MomentReset Reset { get; init; } = MomentReset.None;

    /// <summary>Share of entries that stays under <see cref="MomentReset.Random"/> and <see cref="MomentReset.Magnitude"/>.</summary>
    [Range(0.0, 1.0)]
    public double Keep { get; init; }

    /// <summary>Steps over which the rate climbs back from a thousandth of what the schedule has at their end; 0 for no ramp.</summary>
    [Range(0, int.MaxValue)]
    public int Recover { get; init; }

    /// <summary>Whether a restart follows the step after which <paramref name="step"/> steps are finished.</summary>
    public bool IsDue(long step) => Every > 0 && step > 0 && step % Every == 0;

    /// <summary>
    /// The rate's factor with the ramp: for i = 0 … recover − 1 steps after the restart at step l, schedule(l + recover) · (0.001 + 0.999 · i / (recover − 1)).
    /// </summary>
    /// <param name="step">Finished steps.</param>
    /// <param name="schedule">The schedule without restarts.</param>
    public double Ramp(long step, Func<long, double> schedule)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        if (Every == 0 || step < Every || step % Every >= Recover) return schedule(step);
        var since = step % Every;
        var share = Recover == 1 ? 0.001 : 0.001 + 0.999 * since / (Recover - 1);
        return schedule(step - since + Recover) * share;
    }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Every > 0 && Recover >= Every) yield return ("recover", $"must be below every ({Every}): the rate would never be back");
        if (Every == 0 && (Refactorize || Reset != MomentReset.None || Recover > 0)) yield return ("every", "is needed: steps between restarts");
    }
}
