using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;

namespace Perennial.Models.HuggingFace;

/// <summary>
/// Between <c>config.json</c> of Hugging Face folders and <see cref="DecoderConfig"/>. A setting that changes the computation
/// and is not honoured here is refused by name, never passed over.
/// </summary>
public static class ConfigJson
{
    /// <summary>The file's name.</summary>
    public const string FileName = "config.json";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Writes the config of a float32 checkpoint.</summary>
    public static void Write(DecoderConfig config, string folder, string torchType = "float32") =>
        AtomicFile.WriteText(Path.Combine(folder, FileName), ToJson(config, torchType).ToJsonString(Indented) + "\n");

    /// <summary>The config as Hugging Face's libraries expect it.</summary>
    public static JsonObject ToJson(DecoderConfig config, string torchType = "float32")
    {
        ArgumentNullException.ThrowIfNull(config);
        var json = config.Family == ModelFamily.Gpt2 ? Gpt2(config) : Llama(config);
        json["vocab_size"] = config.Vocabulary;
        json["initializer_range"] = config.InitializerRange;
        json["tie_word_embeddings"] = config.TiedHead;
        json["torch_dtype"] = torchType;
        json["bos_token_id"] = config.EndOfText;
        json["eos_token_id"] = config.EndOfText;
        return json;
    }

    /// <summary>Reads a folder's config.</summary>
    /// <exception cref="PerennialException">Exit 2: no such file. Exit 3: damaged, or a model that is not supported, with the key.</exception>
    public static DecoderConfig Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path)) throw PerennialException.Usage($"{path}: no such file; a checkpoint folder has config.json, model.safetensors and tokenizer.json");
        try
        {
            return Parse(JsonNode.Parse(File.ReadAllBytes(path)) as JsonObject ?? throw Refuse(path, "is not a JSON object"), path);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException or OverflowException)
        {
            throw PerennialException.Damaged($"{path}: is damaged: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }

    private static JsonObject Llama(DecoderConfig config) => new()
    {
        ["architectures"] = new JsonArray(config.Family == ModelFamily.Llama ? "LlamaForCausalLM" : "Qwen2ForCausalLM"),
        ["model_type"] = config.Family == ModelFamily.Llama ? "llama" : "qwen2",
        ["hidden_size"] = config.Width,
        ["intermediate_size"] = config.Intermediate,
        ["num_hidden_layers"] = config.Layers,
        ["num_attention_heads"] = config.Heads,
        ["num_key_value_heads"] = config.KeyValueHeads,
        ["head_dim"] = config.HeadWidth,
        ["max_position_embeddings"] = config.Context,
        ["rms_norm_eps"] = config.NormEpsilon,
        ["rope_theta"] = config.RopeTheta,
        ["rope_parameters"] = new JsonObject { ["rope_theta"] = config.RopeTheta, ["rope_type"] = "default" },
        ["hidden_act"] = "silu",
        ["attention_dropout"] = 0.0,
    };

    private static JsonObject Gpt2(DecoderConfig config) => new()
    {
        ["architectures"] = new JsonArray("GPT2LMHeadModel"),
        ["model_type"] = "gpt2",
        ["n_embd"] = config.Width,
        ["n_inner"] = config.Intermediate,
        ["n_layer"] = config.Layers,
        ["n_head"] = config.Heads,
        ["n_positions"] = config.Context,
        ["n_ctx"] = config.Context,
        ["layer_norm_epsilon"] = config.NormEpsilon,
        ["activation_function"] = "gelu_new",
        ["resid_pdrop"] = 0.0,
        ["embd_pdrop"] = 0.0,
        ["attn_pdrop"] = 0.0,
    };

    private static DecoderConfig Parse(JsonObject json, string path)
    {
        if (json["quantization_config"] is not null) throw Refuse(path, "'quantization_config' is not supported; give unquantized weights");
        return (string?)json["model_type"] switch
        {
            "gpt2" => ParseGpt2(json, path),
            "llama" => ParseLlama(json, path, ModelFamily.Llama),
            "qwen2" => ParseLlama(json, path, ModelFamily.Qwen2),
            var other => throw Refuse(path, $"model_type '{other}' is not supported; known: llama, qwen2, gpt2"),
        };
    }

    private static DecoderConfig ParseLlama(JsonObject json, string path, ModelFamily family)
    {
        var isLlama = family == ModelFamily.Llama;
        Require(json, path, "hidden_act", "silu", "silu");
        foreach (var key in new[] { "attention_bias", "mlp_bias", "use_sliding_window" })
        {
            if (json[key] is JsonValue flag && (bool)flag) throw Refuse(path, $"'{key}: true' is not supported");
        }
        var theta = Number(json, path, "rope_theta", isLlama ? 10000 : 10000);
        foreach (var key in new[] { "rope_scaling", "rope_parameters" })
        {
            if (json[key] is not JsonObject rope) continue;
            var type = (string?)rope["rope_type"] ?? (string?)rope["type"] ?? "default";
            if (type != "default") throw Refuse(path, $"'{key}.rope_type: {type}' is not supported; only default rotary positions are");
            if (rope["partial_rotary_factor"] is JsonValue part && (double)part != 1) throw Refuse(path, $"'{key}.partial_rotary_factor' is not supported");
            theta = Number(rope, path, "rope_theta", theta);
        }
        var width = Size(json, path, "hidden_size", isLlama ? 4096 : 4096);
        var heads = Size(json, path, "num_attention_heads", 32);
        return Checked(path, new DecoderConfig
        {
            Family = family,
            Vocabulary = Size(json, path, "vocab_size", isLlama ? 32000 : 151936),
            Context = Size(json, path, "max_position_embeddings", isLlama ? 2048 : 32768),
            Width = width,
            Layers = Size(json, path, "num_hidden_layers", 32),
            Heads = heads,
            KeyValueHeads = Size(json, path, "num_key_value_heads", isLlama ? heads : 32),
            HeadWidth = Size(json, path, "head_dim", Math.Max(1, width / heads)),
            Intermediate = Size(json, path, "intermediate_size", isLlama ? 11008 : 22016),
            NormEpsilon = Number(json, path, "rms_norm_eps", 1e-6),
            RopeTheta = theta,
            TiedHead = json["tie_word_embeddings"] is JsonValue tied && (bool)tied,
            InitializerRange = Number(json, path, "initializer_range", 0.02),
            EndOfText = EndOfText(json),
        });
    }

    private static DecoderConfig ParseGpt2(JsonObject json, string path)
    {
        Require(json, path, "activation_function", "gelu_new", "gelu_new", "gelu_pytorch_tanh");
        foreach (var (key, only) in new[] { ("scale_attn_weights", true), ("scale_attn_by_inverse_layer_idx", false), ("reorder_and_upcast_attn", false), ("add_cross_attention", false) })
        {
            if (json[key] is JsonValue flag && (bool)flag != only) throw Refuse(path, $"'{key}: {(bool)flag}' is not supported".Replace("True", "true", StringComparison.Ordinal).Replace("False", "false", StringComparison.Ordinal));
        }
        var width = Size(json, path, "n_embd", 768);
        var heads = Size(json, path, "n_head", 12);
        return Checked(path, new DecoderConfig
        {
            Family = ModelFamily.Gpt2,
            Vocabulary = Size(json, path, "vocab_size", 50257),
            Context = Size(json, path, "n_positions", 1024),
            Width = width,
            Layers = Size(json, path, "n_layer", 12),
            Heads = heads,
            KeyValueHeads = heads,
            HeadWidth = Math.Max(1, width / heads),
            Intermediate = json["n_inner"] is null ? 4 * width : Size(json, path, "n_inner", 4 * width),
            NormEpsilon = Number(json, path, "layer_norm_epsilon", 1e-5),
            TiedHead = json["tie_word_embeddings"] is not JsonValue tied || (bool)tied,
            InitializerRange = Number(json, path, "initializer_range", 0.02),
            EndOfText = EndOfText(json),
        });
    }

    private static DecoderConfig Checked(string path, DecoderConfig config)
    {
        if (config.Heads % config.KeyValueHeads != 0) throw Refuse(path, $"{config.KeyValueHeads} key-value heads do not divide {config.Heads} heads");
        if (config.Family == ModelFamily.Gpt2 && config.Width % config.Heads != 0) throw Refuse(path, $"{config.Heads} heads do not divide width {config.Width}");
        if (config.Family != ModelFamily.Gpt2 && config.HeadWidth % 2 != 0) throw Refuse(path, $"head_dim {config.HeadWidth} is odd; rotary positions need an even one");
        return config;
    }

    private static int? EndOfText(JsonObject json) => json["eos_token_id"] switch
    {
        JsonValue value => (int?)(long)value,
        JsonArray { Count: > 0 } several => (int?)(long)several[0]!,
        _ => null,
    };

    private static void Require(JsonObject json, string path, string key, string fallback, params string[] allowed)
    {
        var value = (string?)json[key] ?? fallback;
        if (!allowed.Contains(value)) throw Refuse(path, $"'{key}: {value}' is not supported; known: {string.Join(", ", allowed)}");
    }

    private static int Size(JsonObject json, string path, string key, int fallback)
    {
        if (json[key] is not JsonValue value) return fallback;
        var size = (double)value;
        return size is >= 1 and <= 1 << 24 && size == Math.Floor(size) ? (int)size : throw Refuse(path, $"'{key}' must be a whole number from 1 to {1 << 24}; found {value.ToJsonString()}");
    }

    private static double Number(JsonObject json, string path, string key, double fallback)
    {
        if (json[key] is not JsonValue value) return fallback;
        var number = (double)value;
        return double.IsFinite(number) && number > 0 ? number : throw Refuse(path, $"'{key}' must be above 0; found {value.ToJsonString()}");
    }

    private static PerennialException Refuse(string path, string problem) => PerennialException.Damaged($"{path}: {problem}");
}
