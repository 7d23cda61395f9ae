using static TorchSharp.torch;

namespace Perennial.Models.Quantization;

/// <summary>
/// How uneven the channels of activations are. Excess kurtosis as the published script of Park et al. 2025 computes it: for a token's d
/// channels k = mean(x⁴) / std(x)⁴ − 3 (the fourth moment about 0, the deviation with d − 1), at least 0, averaged over tokens. One dominant
/// channel gives about d − 3, Gaussian channels 0.4·√(24/d).
/// </summary>
public sealed class OutlierProbe : IActivationFilter
{
    private readonly Dictionary<int, (double Kurtosis, double Ratio, long Tokens)> streams = [], inputs = [];

    /// <summary>Mean kurtosis by place: 0 the embeddings, then every block's output.</summary>
    public IReadOnlyList<double> ByLayer => [.. streams.OrderBy(pair => pair.Key).Select(pair => pair.Value.Kurtosis / pair.Value.Tokens)];

    /// <summary>Mean over places.</summary>
    public double Mean => ByLayer.Average();

    /// <summary>The worst place: an average hides one bad layer.</summary>
    public double Worst => ByLayer.Max();

    /// <summary>Largest magnitude over median magnitude of a token's channels, averaged over tokens and places.</summary>
    public double Ratio => streams.Values.Average(place => place.Ratio / place.Tokens);

    /// <summary>Mean kurtosis of what the blocks' matrices read (after the norms).</summary>
    public double OfInputs => inputs.Values.Average(place => place.Kurtosis / place.Tokens);

    /// <inheritdoc/>
    public Tensor Input(Tensor x, int layer, Projection projection)
    {
        // Projections that read the same input count once.
        if (projection is Projection.Query or Projection.QueryKeyValue) Add(inputs, 2 * layer, x);
        if (projection is Projection.Up) Add(inputs, 2 * layer + 1, x);
        return x;
    }

    /// <inheritdoc/>
    public void Stream(Tensor x, int number) => Add(streams, number, x);

    private static void Add(Dictionary<int, (double Kurtosis, double Ratio, long Tokens)> sums, int place, Tensor x)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var rows = x.detach().reshape(-1, x.shape[^1]).to_type(ScalarType.Float64);
        var kurtosis = rows.pow(4).mean([1]) / rows.var(1).pow(2) - 3;
        var sizes = rows.abs();
        var ratio = sizes.amax([1]) / sizes.kthvalue((sizes.shape[1] + 1) / 2, 1).values;
        var (old, tokens) = (sums.GetValueOrDefault(place), rows.shape[0]);
        sums[place] = (old.Kurtosis + kurtosis.clamp_min(0).sum().item<double>(), old.Ratio + ratio.sum().item<double>(), old.Tokens + tokens);
    }
}
