using System.Text.Json.Nodes;

namespace Perennial.Models.HuggingFace;

/// <summary>
/// What a <c>config.json</c> means, with the defaults of the families' configuration classes in Hugging Face's transformers.
/// A setting that changes the computation and is not honoured here is refused by name.
/// </summary>
internal static class ConfigParser
{
    public static DecoderConfig Parse(JsonObject json, string path)
    {
        var reader = new ConfigReader(json, path);
        _ = Quantization.QuantizationScheme.Parse(json, path);
        var config = reader.Text("model_type") switch
        {
            "gpt2" => Gpt2(reader),
            "llama" => Rotary(reader, ModelFamily.Llama),
            "qwen2" => Rotary(reader, ModelFamily.Qwen2),
            var other => throw reader.Refuse($"model_type '{other}' is not supported; known: llama, qwen2, gpt2"),
        };
        return config with { Carried = CarriedKeys.Of(json, ConfigJson.ToJson(config)) };
    }

    private static DecoderConfig Rotary(ConfigReader json, ModelFamily family)
    {
        var isLlama = family == ModelFamily.Llama;
        json.OneOf("hidden_act", "silu", "silu", "swish");
        foreach (var key in new[] { "attention_bias", "mlp_bias", "use_sliding_window" }) json.OnlyFlag(key, false);
        if (json["layer_types"] is JsonArray types && types.FirstOrDefault(type => (string?)type != "full_attention") is { } unknown)
            throw json.Refuse($"'layer_types: {unknown}' is not supported; only full_attention is");
        var width = json.Size("hidden_size", 4096);
        var heads = json.Size("num_attention_heads", 32);
        if (json["head_dim"] is null && width % heads != 0) throw json.Refuse($"{heads} heads do not divide width {width}");
        // An explicit null means as many as heads; only an absent key takes the family's default.
        var keyHeads = json.Size("num_key_value_heads", isLlama || json.Has("num_key_value_heads") ? heads : 32);
        if (heads % keyHeads != 0) throw json.Refuse($"{keyHeads} key-value heads do not divide {heads} heads");
        var headWidth = json.Size("head_dim", Math.Max(1, width / heads));
        if (headWidth % 2 != 0) throw json.Refuse($"a head of width {headWidth} is odd; rotary positions need an even one");
        return new DecoderConfig
        {
            Family = family,
            Vocabulary = json.Size("vocab_size", isLlama ? 32000 : 151936),
            Context = json.Size("max_position_embeddings", isLlama ? 2048 : 32768),
            Width = width,
            Layers = json.Size("num_hidden_layers", 32),
            Heads = heads,
            KeyValueHeads = keyHeads,
            HeadWidth = headWidth,
            Intermediate = json.Size("intermediate_size", isLlama ? 11008 : 22016),
            NormEpsilon = json.Number("rms_norm_eps", 1e-6),
            RopeTheta = RopeTheta(json),
            TiedHead = json.Flag("tie_word_embeddings", false),
            InitializerRange = json.Number("initializer_range", 0.02),
            EndOfText = EndOfText(json),
        };
    }

    /// <summary>The rotary base: at the top (transformers 4) or inside <c>rope_parameters</c> (transformers 5); scaled positions are refused.</summary>
    private static double RopeTheta(ConfigReader json)
    {
        var theta = json.Number("rope_theta", 10000);
        PlainRotary(json, "");
        foreach (var key in new[] { "rope_scaling", "rope_parameters" })
        {
            if (json.Object(key) is not { } rope) continue;
            var type = rope.Text("rope_type") ?? rope.Text("type") ?? "default";
            if (type != "default") throw json.Refuse($"'{key}.rope_type: {type}' is not supported; only default rotary positions are");
            PlainRotary(rope, key + ".");
            theta = rope.Number("rope_theta", theta);
        }
        return theta;

        static void PlainRotary(ConfigReader json, string prefix)
        {
            if (json.Number("partial_rotary_factor", 1) != 1) throw json.Refuse($"'{prefix}partial_rotary_factor' is not supported");
        }
    }

    private static DecoderConfig Gpt2(ConfigReader json)
    {
        var activation = json.OneOf("activation_function", "gelu_new", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu", "gelu_python");
        json.OnlyFlag("scale_attn_weights", true);
        foreach (var key in new[] { "scale_attn_by_inverse_layer_idx", "add_cross_attention" }) json.OnlyFlag(key, false);
        var width = json.Size("n_embd", 768);
        var heads = json.Size("n_head", 12);
        if (width % heads != 0) throw json.Refuse($"{heads} heads do not divide width {width}");
        return new DecoderConfig
        {
            Family = ModelFamily.Gpt2,
            Vocabulary = json.Size("vocab_size", 50257),
            Context = json.Size("n_positions", 1024),
            Width = width,
            Layers = json.Size("n_layer", 12),
            Heads = heads,
            KeyValueHeads = heads,
            HeadWidth = width / heads,
            Intermediate = json.Size("n_inner", 4 * width),
            NormEpsilon = json.Number("layer_norm_epsilon", 1e-5),
            TiedHead = json.Flag("tie_word_embeddings", true),
            InitializerRange = json.Number("initializer_range", 0.02),
            EndOfText = EndOfText(json),
            ExactGelu = activation is "gelu" or "gelu_python",
        };
    }

    /// <summary>The id, or the first of several: the others end a turn rather than a text, and are carried.</summary>
    private static int? EndOfText(ConfigReader json)
    {
        var value = json["eos_token_id"] is JsonArray { Count: > 0 } several ? several[0] : json["eos_token_id"];
        if (value is null or JsonArray) return null;
        return value is JsonValue number && number.TryGetValue<int>(out var id) ? id : throw json.Refuse("'eos_token_id' must be a whole number or a list of them");
    }
}
