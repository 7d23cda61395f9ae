using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Models.HuggingFace;

/// <summary>
/// Weights between Hugging Face safetensors (one file, or shards with an index) and flat parameters. A load proves that every
/// parameter was filled exactly once and that nothing was left unread.
/// </summary>
public static class WeightFiles
{
    /// <summary>The single file's name.</summary>
    public const string FileName = "model.safetensors";

    private const string IndexName = "model.safetensors.index.json";

    /// <summary>Writes float32 weights; names and order are the layout's.</summary>
    public static void Write(FlatLayout layout, Tensor values, string folder)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(values);
        var start = TensorMemory.Pointer(values);
        SafetensorsWriter.Write(Path.Combine(folder, FileName),
            layout.Entries.Select(entry => SafetensorsTensor.At(entry.Name, SafetensorsType.F32, entry.Shape, start + (nint)(entry.Offset * sizeof(float)))),
            new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt" });
    }

    /// <summary>Fills flat values from a folder, converting to float32.</summary>
    /// <exception cref="PerennialException">Exit 2: no weights there. Exit 3: damaged, missing, surplus or misshapen tensors, by name.</exception>
    public static void Read(string folder, DecoderConfig config, FlatLayout layout, Tensor values)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(layout);
        var filled = new HashSet<string>(StringComparer.Ordinal);
        foreach (var path in Files(folder))
        {
            using var file = SafetensorsFile.Open(path);
            foreach (var entry in file.Entries)
            {
                var name = Canonical(entry.Name, config.Family, layout);
                if (name is null)
                {
                    if (IsIgnorable(entry.Name, config)) continue;
                    throw PerennialException.Damaged($"{path}: tensor '{entry.Name}' has no place in this {config.Family} model");
                }
                var target = layout[name];
                if (!entry.Shape.SequenceEqual(target.Shape))
                    throw PerennialException.Damaged($"{path}: tensor '{entry.Name}' has shape [{string.Join(", ", entry.Shape)}], the model needs [{string.Join(", ", target.Shape)}]");
                if (!filled.Add(name)) throw PerennialException.Damaged($"{path}: tensor '{entry.Name}' fills '{name}' a second time");
                using var _ = no_grad();
                using var view = FlatParameters.View(values, target);
                file.ReadInto(entry.Name, view);
            }
        }
        var missing = layout.Entries.Where(entry => !filled.Contains(entry.Name)).Select(entry => entry.Name).ToList();
        if (missing.Count > 0) throw PerennialException.Damaged($"{folder}: the weights lack {missing.Count} tensor(s): {string.Join(", ", missing.Take(4))}{(missing.Count > 4 ? ", …" : "")}");
    }

    private static IReadOnlyList<string> Files(string folder)
    {
        var single = Path.Combine(folder, FileName);
        if (File.Exists(single)) return [single];
        var index = Path.Combine(folder, IndexName);
        if (!File.Exists(index)) throw PerennialException.Usage($"{folder}: holds neither {FileName} nor {IndexName}");
        try
        {
            var map = JsonNode.Parse(File.ReadAllBytes(index))?["weight_map"] as JsonObject ?? throw PerennialException.Damaged($"{index}: has no 'weight_map'");
            var files = map.Select(entry => (string)entry.Value!).Distinct().Order(StringComparer.Ordinal).ToList();
            foreach (var file in files)
            {
                if (Path.GetFileName(file) != file) throw PerennialException.Damaged($"{index}: '{file}' points outside the folder");
                if (!File.Exists(Path.Combine(folder, file))) throw PerennialException.Damaged($"{index}: shard {file} is missing");
            }
            return [.. files.Select(file => Path.Combine(folder, file))];
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw PerennialException.Damaged($"{index}: is damaged: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }

    /// <summary>The layout's name of a tensor, whether or not the file spells the model's prefix.</summary>
    private static string? Canonical(string name, ModelFamily family, FlatLayout layout)
    {
        if (layout.Contains(name)) return name;
        var prefix = family == ModelFamily.Gpt2 ? "transformer." : "model.";
        return layout.Contains(prefix + name) ? prefix + name : null;
    }

    // GPT-2 files carry the causal mask as buffers, older Llama files the rotary frequencies, and tied models may repeat the head.
    private static bool IsIgnorable(string name, DecoderConfig config) =>
        (config.TiedHead && name == "lm_head.weight")
        || (config.Family == ModelFamily.Gpt2 && (name.EndsWith(".attn.bias", StringComparison.Ordinal) || name.EndsWith(".attn.masked_bias", StringComparison.Ordinal)))
        || name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal);
}
