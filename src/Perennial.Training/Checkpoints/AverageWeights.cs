namespace Perennial.Training.Checkpoints;

/// <summary>How snapshots are weighted in an average.</summary>
public enum AverageRule
{
    /// <summary>Equal weights.</summary>
    Uniform,

    /// <summary>θ ← α·θ_k + (1 − α)·θ from the oldest on: the oldest keeps what is left.</summary>
    Ema,

    /// <summary>α·(1 − α)^i for the i-th newest, scaled to sum to 1: the other reading of the same source.</summary>
    EmaNormalized,

    /// <summary>Falling toward the newest: the i-th newest of k has weight i + 1, which mimics a decayed learning rate.</summary>
    Linear,
}

/// <summary>Weights of an average over the last checkpoints (Luo et al. 2025, arXiv 2511.18903, method 4).</summary>
public static class AverageWeights
{
    /// <summary>Weights of <paramref name="count"/> snapshots, newest first, summing to 1.</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="count">Number of snapshots, at least 1.</param>
    /// <param name="alpha">α of the exponential rules.</param>
    public static IReadOnlyList<double> Of(AverageRule rule, int count, double alpha)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        var raw = Enumerable.Range(0, count).Select(i => rule switch
        {
            AverageRule.Uniform => 1.0,
            AverageRule.Ema => i == count - 1 ? Math.Pow(1 - alpha, i) : alpha * Math.Pow(1 - alpha, i),
            AverageRule.EmaNormalized => alpha * Math.Pow(1 - alpha, i),
            _ => i + 1.0,
        }).ToArray();
        var sum = raw.Sum();
        return [.. raw.Select(weight => weight / sum)];
    }
}
