using Perennial.Core;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models.Quantization;

/// <summary>Changes of a Llama's or Qwen2's weights that keep its function and change how hard its activations are to round.</summary>
public static class StreamTransforms
{
    /// <summary>
    /// Makes an outlier channel on purpose: every norm's weight of one channel is multiplied, the columns that read it are divided. Exact
    /// up to rounding.
    /// </summary>
    /// <param name="parameters">Plain weights, changed in place.</param>
    /// <param name="config">The model.</param>
    /// <param name="channel">The channel.</param>
    /// <param name="factor">The factor.</param>
    public static void Amplify(FlatParameters parameters, DecoderConfig config, int channel, double factor)
    {
        using var _ = no_grad();
        foreach (var (norm, readers) in Readers(parameters, config))
        {
            using var scope = NewDisposeScope();
            parameters.Value(norm).narrow(0, channel, 1).mul_(factor);
            foreach (var reader in readers) parameters.Value(reader).narrow(1, channel, 1).div_(factor);
        }
    }

    /// <summary>
    /// Folds the norms' weights into the matrices that read them and turns the residual stream by a random orthogonal matrix (Ashkboos et
    /// al. 2024, "QuaRot", stage 1): RMSNorm without weights does not notice.
    /// </summary>
    /// <param name="parameters">Plain weights, changed in place.</param>
    /// <param name="config">The model; its head must not be the embedding.</param>
    /// <param name="seed">Key of the rotation.</param>
    /// <exception cref="PerennialException">Exit 2: a tied head cannot take the last norm's weights in.</exception>
    public static void Rotate(FlatParameters parameters, DecoderConfig config, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(config);
        if (config.TiedHead) throw PerennialException.Usage("rotation: a tied head cannot take the last norm's weights in; set model.tied-head to false");
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var names = new DecoderNames(config);
        var draw = zeros(config.Width, config.Width);
        Philox.FillNormal(TensorMemory.Span<float>(draw), seed, RandomPurpose.Statistics, 0);
        var rotation = linalg.qr(draw.to_type(ScalarType.Float64)).Item1;
        foreach (var (norm, readers) in Readers(parameters, config))
        {
            var weight = parameters.Value(norm).to_type(ScalarType.Float64);
            foreach (var reader in readers) Set(reader, values => (values * weight).matmul(rotation));
            parameters.Value(norm).fill_(1);
        }
        Set(names.Embedding, values => values.matmul(rotation));
        for (var layer = 0; layer < config.Layers; layer++)
            foreach (var writer in new[] { Projection.AttentionOut, Projection.Down })
                Set(names.Weight(layer, writer), values => rotation.t().matmul(values));

        void Set(string name, Func<Tensor, Tensor> change)
        {
            var view = parameters.Value(name);
            view.copy_(change(view.to_type(ScalarType.Float64)));
        }
    }

    /// <summary>Every norm and the matrices <c>[out, width]</c> that read what it gives.</summary>
    private static IEnumerable<(string Norm, string[] Readers)> Readers(FlatParameters parameters, DecoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        if (config.Family == ModelFamily.Gpt2) throw PerennialException.Usage("gpt2 has LayerNorms: these transforms are for models with RMSNorm");
        var names = new DecoderNames(config);
        for (var layer = 0; layer < config.Layers; layer++)
        {
            yield return (names.AttentionNorm(layer), [names.Weight(layer, Projection.Query), names.Weight(layer, Projection.Key), names.Weight(layer, Projection.Value)]);
            yield return (names.FeedForwardNorm(layer), [names.Weight(layer, Projection.Gate), names.Weight(layer, Projection.Up)]);
        }
        if (!config.TiedHead) yield return (names.FinalNorm, [names.Head]);
    }
}
