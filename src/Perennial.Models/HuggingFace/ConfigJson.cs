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
        CarriedKeys.Add(config.Carried, json);
        return json;
    }

    /// <summary>Reads a folder's config.</summary>
    /// <exception cref="PerennialException">Exit 2: no such file. Exit 3: damaged, or a model that is not supported, with the key.</exception>
    public static DecoderConfig Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path) && Directory.Exists(Path.Combine(folder, "checkpoints")))
            throw PerennialException.Usage($"{folder}: is a run folder; name one of the checkpoints in {Path.Combine(folder, "checkpoints")}");
        if (!File.Exists(path)) throw PerennialException.Usage($"{path}: no such file; a checkpoint folder has config.json, model.safetensors and tokenizer.json");
        try
        {
            return ConfigParser.Parse(JsonNode.Parse(File.ReadAllBytes(path)) as JsonObject ?? throw PerennialException.Damaged($"{path}: is not a JSON object"), path);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException or OverflowException or ArgumentException)
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
        ["activation_function"] = config.ExactGelu ? "gelu" : "gelu_new",
        ["resid_pdrop"] = 0.0,
        ["embd_pdrop"] = 0.0,
        ["attn_pdrop"] = 0.0,
    };
}
