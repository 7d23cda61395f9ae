using Perennial.Models;

namespace Perennial.Training.Bench;

/// <summary>
/// The arithmetic of training by the usual count (Chowdhery et al. 2022, appendix B): 6·N for matrix products, where N
/// is every parameter that takes part in one (the head does, the embedding's look-up, norms and biases do not), and
/// 12·layers·width·time for attention, its causal half counted whole.
/// </summary>
public static class TrainingFlops
{
    /// <summary>Floating-point operations of one training token.</summary>
    public static double PerToken(DecoderConfig config, int time)
    {
        ArgumentNullException.ThrowIfNull(config);
        double queries = (double)config.Heads * config.HeadWidth;
        return 6 * MatrixParameters(config) + 12 * config.Layers * queries * time;
    }

    /// <summary>
    /// The same of a decoder whose matrices are made of parts, as the papers count: 6 for every number of B, A and S, 4 for every one of a
    /// frozen part (it has no gradient of its own). What is counted is not what is computed: a weight made for one use costs a whole product.
    /// </summary>
    public static double PerToken(DecoderConfig config, int time, WeightMap? map)
    {
        var plain = PerToken(config, time);
        return map is null ? plain : plain + map.Matrices.Sum(matrix =>
            4.0 * (matrix.Frozen?.Length ?? 0) + 6.0 * ((matrix.A?.Length ?? 0) + (matrix.B?.Length ?? 0) + (matrix.Values?.Length ?? 0)) - 6.0 * matrix.Plain.Length)
            + (map.Form.EmbeddingProjection ? 12.0 * config.Width * config.Width : 0);
    }

    /// <summary>The same by layer: blocks are alike, the head's product is the last one's.</summary>
    public static IReadOnlyList<double> PerLayer(DecoderConfig config, int time)
    {
        ArgumentNullException.ThrowIfNull(config);
        var head = 6.0 * config.Vocabulary * config.Width;
        var block = (PerToken(config, time) - head) / config.Layers;
        return [.. Enumerable.Range(1, config.Layers).Select(layer => layer == config.Layers ? block + head : block)];
    }

    /// <summary>Parameters that take part in matrix products.</summary>
    public static double MatrixParameters(DecoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        double width = config.Width, queries = (double)config.Heads * config.HeadWidth, keys = (double)config.KeyValueHeads * config.HeadWidth;
        var feedForward = (config.Family == ModelFamily.Gpt2 ? 2 : 3) * width * config.Intermediate;
        return config.Layers * (width * (queries + 2 * keys) + queries * width + feedForward) + (double)config.Vocabulary * width;
    }
}
