using System.ComponentModel.DataAnnotations;
using Perennial.Core;

namespace Perennial.Models;

/// <summary>Options of <see cref="ReloraParameterization"/>.</summary>
public sealed record ReloraOptions : LowRankOptions, IValidatedOptions
{
    /// <summary>Steps between merges.</summary>
    [Range(1, int.MaxValue)]
    public int Every { get; init; } = 1000;

    /// <summary>Steps over which the rate is warmed up again after a merge.</summary>
    [Range(0, int.MaxValue)]
    public int Recover { get; init; } = 50;

    /// <summary>Which entries of the factors' optimizer slots are forgotten at a merge: <c>random</c>, <c>magnitude</c>, <c>all</c> (of every parameter, a fresh optimizer) or <c>none</c>.</summary>
    public MomentReset Reset { get; init; } = MomentReset.Random;

    /// <summary>Share of them that stays (<c>random</c>, <c>magnitude</c>; ignored otherwise). The reference keeps 0.001 at random, or the largest 0.1 to 0.2.</summary>
    [Range(0.0, 1.0)]
    public double Keep { get; init; } = 0.001;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Recover >= Every) yield return ("recover", $"must be below every ({Every}): the rate would never be back");
    }
}

/// <summary>
/// ReLoRA: LoRA whose low-rank part is merged into the dense one every so many steps and begins anew, with most of its optimizer state
/// forgotten and the rate warmed up again (Lialin et al. 2023, arXiv 2307.05695), so that the sum of updates is of high rank. Start it
/// from a checkpoint of some full-rank steps (<c>model: { kind: checkpoint }</c>). Memory as LoRA's.
/// </summary>
[Component("relora")]
public sealed class ReloraParameterization(ReloraOptions options) : IParameterization
{
    /// <inheritdoc/>
    public WeightForm Form => new()
    {
        Frozen = true,
        LowRank = new(options.Rank, options.Alpha, StartsAtZero: true),
        Targets = options.Targets,
        Restarts = new RestartOptions { Every = options.Every, Merge = true, Reset = options.Reset, Keep = options.Keep, Recover = options.Recover },
    };
}
