using Perennial.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>
/// The decoder written with ordinary libtorch operators and autograd, one after another, as one would write it first. It
/// is the yardstick: tests compare the fast decoder's values and gradients with it, and <c>bench train --against plain</c>
/// times it. It works on the same flat parameters.
/// </summary>
public sealed class PlainDecoder : ILanguageModel
{
    private readonly DecoderNames names;
    private readonly Tensor? cosines, sines;
    private readonly bool ownsParameters;

    /// <summary>A plain decoder over given parameters and their map (which the caller keeps) or over new, zeroed ones.</summary>
    public PlainDecoder(DecoderConfig config, Precision precision, FlatParameters? parameters = null, WeightMap? map = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        Config = config;
        Precision = precision;
        Map = map;
        ownsParameters = parameters is null;
        Parameters = parameters ?? new FlatParameters(map?.Layout ?? DecoderLayout.Of(config));
        names = new DecoderNames(config);
        if (config.Family == ModelFamily.Gpt2) return;
        using var scope = NewDisposeScope();
        (cosines, sines) = RotaryTable.Make(config.Context, config.HeadWidth, config.RopeTheta);
        cosines = cat([cosines, cosines], 1).DetachFromDisposeScope();
        sines = cat([sines, sines], 1).DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public DecoderConfig Config { get; }

    /// <inheritdoc/>
    public FlatParameters Parameters { get; }

    /// <inheritdoc/>
    public WeightMap? Map { get; }

    /// <inheritdoc/>
    public Precision Precision { get; }

    /// <summary>Looks at, or changes, what flows through; null for nothing.</summary>
    public IActivationFilter? Filter { get; init; }

    /// <inheritdoc/>
    public DropoutKey? Dropout { get; set; }

    /// <inheritdoc/>
    public string HeadName => names.Head;

    /// <inheritdoc/>
    public Tensor HeadWeight() => Compute(Parameters.Leaf(HeadName)).alias();

    /// <inheritdoc/>
    public void ParametersChanged()
    {
        // Nothing is cached.
    }

    /// <inheritdoc/>
    public Tensor Hidden(ModelInput input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using var scope = NewDisposeScope();
        var (rows, time) = (input.Tokens.shape[0], input.Tokens.shape[1]);
        var x = Parameters.Leaf(names.Embedding).index_select(0, input.Tokens.reshape(-1)).view(rows, time, Config.Width);
        if (Map?.Form.EmbeddingProjection == true) x = nn.functional.linear(Compute(x), Compute(Parameters.Leaf(WeightMap.EmbeddingProjection))).to_type(ScalarType.Float32);
        if (Config.Family == ModelFamily.Gpt2) x = x + Parameters.Leaf(names.Positions).narrow(0, 0, time);
        var dropout = Decoder.Mask(Config, Dropout, (int)time, is_grad_enabled());
        x = Drop(x, dropout, DropoutMask.Embedding);
        var mask = input.Segments is null ? null : SegmentMask(input.Segments);
        Filter?.Stream(x, 0);
        for (var layer = 0; layer < Config.Layers; layer++)
        {
            x = x + Drop(Attention(Norm(x, names.AttentionNorm(layer)), layer, mask).to_type(ScalarType.Float32), dropout, DropoutMask.Attention(layer));
            x = x + Drop(FeedForward(Norm(x, names.FeedForwardNorm(layer)), layer).to_type(ScalarType.Float32), dropout, DropoutMask.FeedForward(layer));
            Filter?.Stream(x, layer + 1);
        }
        var hidden = Compute(Norm(x, names.FinalNorm));
        if (Map?.Form.EmbeddingProjection == true) hidden = nn.functional.linear(hidden, Compute(Parameters.Leaf(WeightMap.HeadProjection)));
        return hidden.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        cosines?.Dispose();
        sines?.Dispose();
        if (ownsParameters) Parameters.Dispose();
    }

    /// <summary>Which tokens may look at which: not later, and only within their own document; bool <c>[batch, 1, time, time]</c>.</summary>
    internal static Tensor SegmentMask(Tensor segments)
    {
        using var scope = NewDisposeScope();
        var time = segments.shape[1];
        var causal = ones(time, time, ScalarType.Bool).tril();
        return segments.unsqueeze(2).eq(segments.unsqueeze(1)).logical_and(causal).unsqueeze(1).MoveToOuterDisposeScope();
    }

    private static Tensor Drop(Tensor x, DropoutMask? mask, int site) =>
        mask is null ? x : x * tensor(mask.Factors(site, x.shape[0] * x.shape[1])).view(x.shape);

    private Tensor Attention(Tensor x, int layer, Tensor? mask)
    {
        var (rows, time) = (x.shape[0], x.shape[1]);
        long width = Config.HeadWidth, heads = Config.Heads, keyHeads = Config.KeyValueHeads;
        Tensor q, k, v;
        if (Config.Family == ModelFamily.Gpt2)
        {
            var parts = Linear(x, layer, Projection.QueryKeyValue).split([heads * width, keyHeads * width, keyHeads * width], 2);
            (q, k, v) = (parts[0], parts[1], parts[2]);
        }
        else
            (q, k, v) = (Linear(x, layer, Projection.Query), Linear(x, layer, Projection.Key), Linear(x, layer, Projection.Value));
        q = q.view(rows, time, heads, width).transpose(1, 2);
        k = k.view(rows, time, keyHeads, width).transpose(1, 2);
        v = v.view(rows, time, keyHeads, width).transpose(1, 2);
        if (cosines is not null) (q, k) = (Rotate(q, time), Rotate(k, time));
        if (Filter is not null) (k, v) = (Filter.Cached(k, layer, isKey: true), Filter.Cached(v, layer, isKey: false));
        if (heads != keyHeads)
            (k, v) = (k.repeat_interleave(heads / keyHeads, 1), v.repeat_interleave(heads / keyHeads, 1));
        var mixed = nn.functional.scaled_dot_product_attention(q, k, v, mask, 0, mask is null);
        return Linear(mixed.transpose(1, 2).reshape(rows, time, heads * width), layer, Projection.AttentionOut);
    }

    private Tensor FeedForward(Tensor x, int layer)
    {
        if (Config.Family == ModelFamily.Gpt2)
            return Linear(nn.functional.gelu(Linear(x, layer, Projection.Up), Config.ExactGelu ? TorchSharp.Modules.GELU.Approximate.none : TorchSharp.Modules.GELU.Approximate.tanh), layer, Projection.Down);
        return Linear(nn.functional.silu(Linear(x, layer, Projection.Gate)) * Linear(x, layer, Projection.Up), layer, Projection.Down);
    }

    private Tensor Rotate(Tensor x, long time)
    {
        var half = Config.HeadWidth / 2;
        var turned = cat([-x.narrow(3, half, half), x.narrow(3, 0, half)], 3);
        var rotated = x.to_type(ScalarType.Float32) * cosines!.narrow(0, 0, time) + turned.to_type(ScalarType.Float32) * sines!.narrow(0, 0, time);
        return rotated.to_type(x.dtype);
    }

    private Tensor Norm(Tensor x, string weight)
    {
        if (Config.Family == ModelFamily.Gpt2)
            return nn.functional.layer_norm(x, [Config.Width], Parameters.Leaf(weight), Parameters.Leaf(DecoderNames.BiasOf(weight)), Config.NormEpsilon);
        var scale = rsqrt(x.pow(2).mean([-1], keepdim: true) + Config.NormEpsilon);
        return x * scale * Parameters.Leaf(weight);
    }

    private Tensor Linear(Tensor x, int layer, Projection projection)
    {
        var name = names.Weight(layer, projection);
        var bias = names.Bias(layer, projection);
        if (Filter is not null) x = Filter.Input(x, layer, projection);
        var y = Map?.Find(name) is { } matrix ? Map.Apply(Compute(x), matrix, part => Compute(Parameters.Leaf(part)))
            : Config.Family == ModelFamily.Gpt2 ? matmul(Compute(x), Compute(Parameters.Leaf(name))) : nn.functional.linear(Compute(x), Compute(Parameters.Leaf(name)));
        return Parameters.Layout.Contains(bias) ? y + Compute(Parameters.Leaf(bias)) : y;
    }

    private Tensor Compute(Tensor x) => Precision == Precision.Bfloat16 ? x.to_type(ScalarType.BFloat16) : x;
}
