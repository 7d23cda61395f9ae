namespace Perennial.Models;

/// <summary>
/// Floating-point operations of training, as MFU counts them (Chowdhery et al. 2022, appendix B): 6·N a token for N
/// parameters that take part in matrix products, and 12·layers·width·time for attention's two products, forward and backward.
/// </summary>
public static class ModelFlops
{
    /// <summary>Parameters that take part in matrix products: all matrices but the embedding lookup, the head included.</summary>
    public static long MatrixParameters(DecoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        var (attention, keys) = ((long)config.Heads * config.HeadWidth, (long)config.KeyValueHeads * config.HeadWidth);
        var block = config.Width * (2 * attention + 2 * keys) + (config.Family == ModelFamily.Gpt2 ? 2L : 3L) * config.Width * config.Intermediate;
        return config.Layers * block + (long)config.Vocabulary * config.Width;
    }

    /// <summary>Operations of one training token at the full context.</summary>
    public static double PerToken(DecoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return 6.0 * MatrixParameters(config) + 12.0 * config.Layers * config.Heads * config.HeadWidth * config.Context;
    }
}
