using Perennial.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Models.Inference;

/// <summary>
/// One sequence, fed a few tokens at a time in float32 with cached keys and values: each token is computed once. Reads the
/// model's master weights, so it follows them while a model is training.
/// </summary>
public sealed class IncrementalDecoder : IDisposable
{
    private readonly DecoderConfig config;
    private readonly FlatParameters parameters;
    private readonly WeightMap? map;
    private readonly DecoderNames names;
    private readonly Tensor? cosines, sines;
    private readonly Tensor[] keys, values;

    /// <summary>An empty sequence; the caches are made for the whole context at once.</summary>
    public IncrementalDecoder(ILanguageModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (model is EnsembleModel) throw Core.PerennialException.Usage("an ensemble scores text but does not write any; generate from one of its members, or distill it (objective: distill)");
        (config, parameters, map) = (model.Config, model.Parameters, model.Map);
        names = new DecoderNames(config);
        using (NewDisposeScope())
        {
            if (config.Family != ModelFamily.Gpt2)
            {
                var (half, halfSines) = RotaryTable.Make(config.Context, config.HeadWidth, config.RopeTheta);
                cosines = cat([half, half], 1).DetachFromDisposeScope();
                sines = cat([halfSines, halfSines], 1).DetachFromDisposeScope();
            }
            keys = Caches();
            values = Caches();
        }
    }

    /// <summary>Tokens fed so far.</summary>
    public int Length { get; private set; }

    /// <summary>Forgets the sequence.</summary>
    public void Clear() => Length = 0;

    /// <summary>Feeds tokens and returns the logits after the last one, <c>[vocabulary]</c>.</summary>
    /// <exception cref="ArgumentException">No token, an id outside the vocabulary, or more tokens than the context.</exception>
    public float[] Feed(IReadOnlyList<int> tokens)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var hidden = Hidden(tokens);
        var last = hidden.narrow(0, hidden.shape[0] - 1, 1);
        return nn.functional.linear(last, parameters.Value(names.Head)).reshape(-1).data<float>().ToArray();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        cosines?.Dispose();
        sines?.Dispose();
        foreach (var cache in keys.Concat(values)) cache.Dispose();
    }

    private Tensor[] Caches() => [.. Enumerable.Range(0, config.Layers).Select(_ => zeros(config.KeyValueHeads, config.Context, config.HeadWidth).DetachFromDisposeScope())];

    private Tensor Hidden(IReadOnlyList<int> tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        if (tokens.Count == 0) throw new ArgumentException("no token to feed", nameof(tokens));
        if (Length + tokens.Count > config.Context) throw new ArgumentException($"{Length + tokens.Count} tokens are more than the context of {config.Context}", nameof(tokens));
        if (tokens.Any(token => token < 0 || token >= config.Vocabulary)) throw new ArgumentException($"a token id is outside the vocabulary of {config.Vocabulary}", nameof(tokens));
        var x = parameters.Value(names.Embedding).index_select(0, tensor(tokens.Select(token => (long)token).ToArray()));
        if (map?.Form.EmbeddingProjection == true) x = nn.functional.linear(x, parameters.Value(WeightMap.EmbeddingProjection));
        if (config.Family == ModelFamily.Gpt2) x = x + parameters.Value(names.Positions).narrow(0, Length, tokens.Count);
        for (var layer = 0; layer < config.Layers; layer++)
        {
            x = x + Attention(Norm(x, names.AttentionNorm(layer)), layer);
            x = x + FeedForward(Norm(x, names.FeedForwardNorm(layer)), layer);
        }
        Length += tokens.Count;
        var normed = Norm(x, names.FinalNorm);
        return map?.Form.EmbeddingProjection == true ? nn.functional.linear(normed, parameters.Value(WeightMap.HeadProjection)) : normed;
    }

    private Tensor Attention(Tensor x, int layer)
    {
        var time = x.shape[0];
        long width = config.HeadWidth, heads = config.Heads, keyHeads = config.KeyValueHeads;
        Tensor q, k, v;
        if (config.Family == ModelFamily.Gpt2)
        {
            var parts = Linear(x, layer, Projection.QueryKeyValue).split([heads * width, keyHeads * width, keyHeads * width], 1);
            (q, k, v) = (parts[0], parts[1], parts[2]);
        }
        else
            (q, k, v) = (Linear(x, layer, Projection.Query), Linear(x, layer, Projection.Key), Linear(x, layer, Projection.Value));
        q = q.view(time, heads, width).transpose(0, 1);
        k = k.view(time, keyHeads, width).transpose(0, 1);
        v = v.view(time, keyHeads, width).transpose(0, 1);
        if (cosines is not null) (q, k) = (Rotate(q, time), Rotate(k, time));
        keys[layer].narrow(1, Length, time).copy_(k);
        values[layer].narrow(1, Length, time).copy_(v);
        var total = Length + time;
        var (allKeys, allValues) = (keys[layer].narrow(1, 0, total), values[layer].narrow(1, 0, total));
        if (heads != keyHeads) (allKeys, allValues) = (allKeys.repeat_interleave(heads / keyHeads, 0), allValues.repeat_interleave(heads / keyHeads, 0));
        var scores = matmul(q, allKeys.transpose(1, 2)) / Math.Sqrt(width);
        // Row i of these tokens stands at position Length + i and sees nothing later.
        if (time > 1) scores = scores.masked_fill(ones(time, total, ScalarType.Bool).tril(Length).logical_not(), float.NegativeInfinity);
        var mixed = matmul(scores.softmax(-1), allValues);
        return Linear(mixed.transpose(0, 1).reshape(time, heads * width), layer, Projection.AttentionOut);
    }

    private Tensor FeedForward(Tensor x, int layer) => config.Family == ModelFamily.Gpt2
        ? Linear(nn.functional.gelu(Linear(x, layer, Projection.Up), config.ExactGelu ? TorchSharp.Modules.GELU.Approximate.none : TorchSharp.Modules.GELU.Approximate.tanh), layer, Projection.Down)
        : Linear(nn.functional.silu(Linear(x, layer, Projection.Gate)) * Linear(x, layer, Projection.Up), layer, Projection.Down);

    private Tensor Rotate(Tensor x, long time)
    {
        var half = config.HeadWidth / 2;
        var turned = cat([-x.narrow(2, half, half), x.narrow(2, 0, half)], 2);
        return x * cosines!.narrow(0, Length, time) + turned * sines!.narrow(0, Length, time);
    }

    private Tensor Norm(Tensor x, string weight) => config.Family == ModelFamily.Gpt2
        ? nn.functional.layer_norm(x, [config.Width], parameters.Value(weight), parameters.Value(DecoderNames.BiasOf(weight)), config.NormEpsilon)
        : x * rsqrt(x.pow(2).mean([-1], keepdim: true) + config.NormEpsilon) * parameters.Value(weight);

    private Tensor Linear(Tensor x, int layer, Projection projection)
    {
        var name = names.Weight(layer, projection);
        var y = map?.Find(name) is { } matrix ? map.Apply(x, matrix, parameters.Value)
            : config.Family == ModelFamily.Gpt2 ? matmul(x, parameters.Value(name)) : nn.functional.linear(x, parameters.Value(name));
        var bias = names.Bias(layer, projection);
        return parameters.Layout.Contains(bias) ? y + parameters.Value(bias) : y;
    }
}
