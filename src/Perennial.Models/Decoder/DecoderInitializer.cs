using Perennial.Core;
using Perennial.Tensors;

namespace Perennial.Models;

/// <summary>
/// Fresh weights as in the families' sources (Hugging Face <c>_init_weights</c>): matrices and embeddings normal(0,
/// <see cref="DecoderConfig.InitializerRange"/>), GPT-2's residual projections divided by √(2·layers), norms 1, biases 0.
/// Every draw is Philox keyed by (seed, index of the entry, element), so it depends on nothing else.
/// </summary>
public static class DecoderInitializer
{
    /// <summary>Overwrites every parameter.</summary>
    public static void Fill(FlatParameters parameters, DecoderConfig config, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(config);
        var entries = parameters.Layout.Entries;
        var start = TensorMemory.Address<float>(parameters.Values);
        Parallel.For(0, entries.Count, index =>
        {
            var entry = entries[index];
            unsafe
            {
                Fill(entry, index, new Span<float>((float*)start + entry.Offset, checked((int)entry.Length)), config, seed);
            }
        });
    }

    /// <summary>The values of one tensor of the whole model.</summary>
    /// <param name="layout">The whole model's layout.</param>
    /// <param name="index">The tensor's number there.</param>
    /// <param name="config">The model.</param>
    /// <param name="seed">The run's seed.</param>
    public static float[] Values(FlatLayout layout, int index, DecoderConfig config, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(config);
        var entry = layout.Entries[index];
        var values = new float[entry.Length];
        Fill(entry, index, values, config, seed);
        return values;
    }

    /// <summary>Overwrites one entry of the plain layout; <paramref name="index"/> is its place there.</summary>
    internal static void Fill(FlatEntry entry, int index, Span<float> values, DecoderConfig config, ulong seed)
    {
        if (!entry.Decays)
        {
            values.Fill(entry.Name.EndsWith("bias", StringComparison.Ordinal) ? 0f : 1f);
            return;
        }
        var isResidual = config.Family == ModelFamily.Gpt2 && entry.Name.EndsWith("c_proj.weight", StringComparison.Ordinal);
        var deviation = (float)(isResidual ? config.InitializerRange / Math.Sqrt(2.0 * config.Layers) : config.InitializerRange);
        Philox.FillNormal(values, seed, RandomPurpose.Initialization, (ulong)index);
        for (var i = 0; i < values.Length; i++) values[i] *= deviation;
    }
}
