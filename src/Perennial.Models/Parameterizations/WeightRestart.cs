using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>What a restart does to the parts of matrices. The decoder's function stays.</summary>
public static class WeightRestart
{
    /// <summary>Applies a plan's merge or refactorization.</summary>
    /// <param name="map">The map.</param>
    /// <param name="parameters">Its parameters.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="step">Finished steps: the key of fresh draws.</param>
    public static void Apply(WeightMap map, FlatParameters parameters, ulong seed, long step)
    {
        ArgumentNullException.ThrowIfNull(map);
        ArgumentNullException.ThrowIfNull(parameters);
        if (map.Form.Restarts is not { } plan) return;
        using var _ = no_grad();
        foreach (var matrix in map.Matrices)
        {
            using var scope = NewDisposeScope();
            if (plan.Merge)
            {
                FlatParameters.View(map.Frozen!, matrix.Frozen!).addmm_(matrix.Left(parameters.Values), matrix.Right(parameters.Values), 1, (float)matrix.Scale);
                WeightStart.Restart(matrix, parameters, seed, step);
            }
            if (plan.Refactorize) Refactorize(matrix, parameters);
        }
    }

    /// <summary>
    /// B·A = U·Σ·Vᵀ; B ← U·Σ^½, A ← Σ^½·Vᵀ, so that Bᵀ·B = A·Aᵀ = Σ (Glentis et al. 2025, trick 1). By QR of B and Aᵀ and the singular
    /// values of the r·r core, in double: no m·n matrix is made.
    /// </summary>
    private static void Refactorize(WeightMatrix matrix, FlatParameters parameters)
    {
        var (a, b) = (FlatParameters.View(parameters.Values, matrix.A!), FlatParameters.View(parameters.Values, matrix.B!));
        var (leftBasis, leftCore) = linalg.qr(b.to_type(ScalarType.Float64));
        var (rightBasis, rightCore) = linalg.qr(a.t().to_type(ScalarType.Float64).contiguous());
        var (u, sigma, v) = linalg.svd(leftCore.matmul(rightCore.t()), fullMatrices: false);
        var root = sigma.sqrt();
        b.copy_(leftBasis.matmul(u) * root.unsqueeze(0));
        a.copy_(root.unsqueeze(1) * v.matmul(rightBasis.t()));
    }
}
