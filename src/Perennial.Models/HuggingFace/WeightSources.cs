using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Core.Safetensors;

namespace Perennial.Models.HuggingFace;

/// <summary>The safetensors files of a Hugging Face folder: one, or the shards that an index names.</summary>
public static class WeightSources
{
    /// <summary>The index of a sharded checkpoint.</summary>
    public const string IndexName = "model.safetensors.index.json";

    /// <summary>The files, in ordinal order of their names. An index must tell the truth: every tensor in the shard it names.</summary>
    /// <exception cref="PerennialException">Exit 3: no weights, a damaged index, or a missing shard or tensor.</exception>
    public static IReadOnlyList<string> Of(string folder)
    {
        var single = Path.Combine(folder, WeightFiles.FileName);
        if (File.Exists(single)) return [single];
        var index = Path.Combine(folder, IndexName);
        if (!File.Exists(index))
        {
            var other = Directory.Exists(folder) ? Directory.EnumerateFiles(folder, "pytorch_model*.bin").FirstOrDefault() : null;
            throw PerennialException.Damaged($"{folder}: holds neither {WeightFiles.FileName} nor {IndexName}{(other is null ? "" : $"; save {Path.GetFileName(other)} as safetensors first")}");
        }
        var shards = Shards(index).GroupBy(pair => pair.File, StringComparer.Ordinal).OrderBy(group => group.Key, StringComparer.Ordinal).ToList();
        foreach (var shard in shards)
        {
            if (shard.Key.Length == 0 || Path.GetFileName(shard.Key) != shard.Key) throw Damaged(index, $"'{shard.Key}' is not a file of this folder");
            var path = Path.Combine(folder, shard.Key);
            if (!File.Exists(path)) throw Damaged(index, $"shard {shard.Key} is missing");
            using var file = SafetensorsFile.Open(path);
            if (shard.FirstOrDefault(pair => file.Header.Find(pair.Tensor) is null) is { Tensor: not null } lost) throw Damaged(index, $"shard {shard.Key} lacks tensor '{lost.Tensor}'");
        }
        return [.. shards.Select(shard => Path.Combine(folder, shard.Key))];
    }

    private static IEnumerable<(string Tensor, string File)> Shards(string index)
    {
        try
        {
            if (JsonNode.Parse(File.ReadAllBytes(index)) is not JsonObject json || json["weight_map"] is not JsonObject { Count: > 0 } map) throw Damaged(index, "has no 'weight_map'");
            return [.. map.Select(pair => (pair.Key, (string?)pair.Value ?? ""))];
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or ArgumentException)
        {
            throw PerennialException.Damaged($"{index}: is damaged: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }

    private static PerennialException Damaged(string place, string what) =>
        PerennialException.Damaged($"{place}: {string.Concat(what.Take(300).Select(c => char.IsControl(c) ? '?' : c))}");
}
