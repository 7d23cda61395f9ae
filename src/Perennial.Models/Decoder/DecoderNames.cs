namespace Perennial.Models;

/// <summary>Hugging Face names of a decoder's tensors, one place for layout, forward pass, import and export.</summary>
public sealed class DecoderNames
{
    private readonly ModelFamily family;
    private readonly bool tied;

    /// <summary>The names of a configuration's family.</summary>
    public DecoderNames(DecoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        family = config.Family;
        tied = config.TiedHead;
    }

    private bool Gpt2 => family == ModelFamily.Gpt2;

    /// <summary>Token embedding, <c>[vocabulary, width]</c>.</summary>
    public string Embedding => Gpt2 ? "transformer.wte.weight" : "model.embed_tokens.weight";

    /// <summary>Learned positions, <c>[context, width]</c> (GPT-2 only).</summary>
    public string Positions => "transformer.wpe.weight";

    /// <summary>Weight of the last norm, <c>[width]</c>.</summary>
    public string FinalNorm => Gpt2 ? "transformer.ln_f.weight" : "model.norm.weight";

    /// <summary>Bias of the last norm, <c>[width]</c> (GPT-2 only).</summary>
    public string FinalNormBias => "transformer.ln_f.bias";

    /// <summary>The unembedding, <c>[vocabulary, width]</c>; the embedding's name when tied.</summary>
    public string Head => tied ? Embedding : "lm_head.weight";

    /// <summary>Weight of the norm before attention.</summary>
    public string AttentionNorm(int layer) => Gpt2 ? $"transformer.h.{layer}.ln_1.weight" : $"model.layers.{layer}.input_layernorm.weight";

    /// <summary>Weight of the norm before the feed-forward part.</summary>
    public string FeedForwardNorm(int layer) => Gpt2 ? $"transformer.h.{layer}.ln_2.weight" : $"model.layers.{layer}.post_attention_layernorm.weight";

    /// <summary>Weight of a projection: Llama and Qwen2 <c>[out, in]</c>, GPT-2 <c>[in, out]</c> (Conv1D).</summary>
    public string Weight(int layer, Projection projection) => Prefix(layer, projection) + ".weight";

    /// <summary>Bias of a projection, <c>[out]</c>.</summary>
    public string Bias(int layer, Projection projection) => Prefix(layer, projection) + ".bias";

    /// <summary>Bias of a norm (GPT-2): its weight's name with another ending.</summary>
    public static string BiasOf(string weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return weight[..^"weight".Length] + "bias";
    }

    /// <summary>What the names of a layer's tensors begin with.</summary>
    public string Layer(int layer) => Gpt2 ? $"transformer.h.{layer}." : $"model.layers.{layer}.";

    private string Prefix(int layer, Projection projection) => projection switch
    {
        Projection.Query => $"model.layers.{layer}.self_attn.q_proj",
        Projection.Key => $"model.layers.{layer}.self_attn.k_proj",
        Projection.Value => $"model.layers.{layer}.self_attn.v_proj",
        Projection.QueryKeyValue => $"transformer.h.{layer}.attn.c_attn",
        Projection.AttentionOut => Gpt2 ? $"transformer.h.{layer}.attn.c_proj" : $"model.layers.{layer}.self_attn.o_proj",
        Projection.Gate => $"model.layers.{layer}.mlp.gate_proj",
        Projection.Up => Gpt2 ? $"transformer.h.{layer}.mlp.c_fc" : $"model.layers.{layer}.mlp.up_proj",
        Projection.Down => Gpt2 ? $"transformer.h.{layer}.mlp.c_proj" : $"model.layers.{layer}.mlp.down_proj",
        _ => throw new ArgumentOutOfRangeException(nameof(projection)),
    };
}

/// <summary>The matrices of one block.</summary>
public enum Projection
{
    /// <summary>Queries (Llama, Qwen2).</summary>
    Query,

    /// <summary>Keys (Llama, Qwen2).</summary>
    Key,

    /// <summary>Values (Llama, Qwen2).</summary>
    Value,

    /// <summary>Queries, keys and values in one (GPT-2).</summary>
    QueryKeyValue,

    /// <summary>Out of attention.</summary>
    AttentionOut,

    /// <summary>The gated half of SwiGLU (Llama, Qwen2).</summary>
    Gate,

    /// <summary>Into the feed-forward part.</summary>
    Up,

    /// <summary>Out of the feed-forward part.</summary>
    Down,
}
