using System.Text.Json.Nodes;

namespace Perennial.Models.HuggingFace;

/// <summary>
/// Keys of an imported <c>config.json</c> that Perennial does not interpret and that do not change what the model computes
/// (ids of special tokens, dropout rates, task settings): an export says them again.
/// </summary>
internal static class CarriedKeys
{
    // What the export states itself, or what would be untrue of the exported files.
    private static readonly HashSet<string> Own = new(StringComparer.Ordinal)
    {
        "model_type", "vocab_size", "initializer_range", "tie_word_embeddings", "torch_dtype", "dtype", "transformers_version", "_name_or_path", "quantization_config",
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings",
        "rms_norm_eps", "rope_theta", "rope_parameters", "rope_scaling", "hidden_act",
        "n_embd", "n_inner", "n_layer", "n_head", "n_positions", "n_ctx", "layer_norm_epsilon", "activation_function",
    };

    /// <summary>The carried keys as canonical JSON (keys in ordinal order), or null for none.</summary>
    /// <param name="json">What was read.</param>
    /// <param name="export">What an export would say by itself: what is equal there need not be carried.</param>
    public static string? Of(JsonObject json, JsonObject export)
    {
        var said = JsonNode.Parse(export.ToJsonString())!.AsObject();
        var kept = new JsonObject();
        foreach (var (key, value) in json.Where(pair => !Own.Contains(pair.Key)).OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            if (!said.TryGetPropertyValue(key, out var same) || !JsonNode.DeepEquals(value, same)) kept[key] = value?.DeepClone();
        }
        return kept.Count == 0 ? null : kept.ToJsonString();
    }

    /// <summary>Puts carried keys into an export; they win over the export's own, except over those that <see cref="Of"/> never carries.</summary>
    public static void Add(string? carried, JsonObject json)
    {
        if (carried is null || JsonNode.Parse(carried) is not JsonObject keys) return;
        foreach (var (key, value) in keys) json[key] = value?.DeepClone();
    }
}
