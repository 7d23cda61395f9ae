using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Core.Safetensors;

namespace Perennial.Models.HuggingFace;

/// <summary>How <see cref="FolderConversion"/> writes.</summary>
public sealed record ConversionOptions
{
    /// <summary>New type of float weights (F32, F16 or BF16); null keeps each tensor's own.</summary>
    public SafetensorsType? Type { get; init; }

    /// <summary>Most bytes of tensors in one file; null for a single file. A larger tensor gets a file of its own.</summary>
    public long? ShardBytes { get; init; }
}

/// <summary>
/// Writes a Hugging Face folder anew: sharded or in one file, with another element type. Tensors stream from the mapped
/// source through a buffer of a mebibyte, so the model's size does not matter. Names and every other file stay as they are;
/// training state is left behind.
/// </summary>
public static class FolderConversion
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Converts a folder.</summary>
    /// <param name="source">A folder whose config Perennial reads.</param>
    /// <param name="target">A new folder; it appears when everything in it is on the disk.</param>
    /// <param name="options">How.</param>
    /// <returns>The weight files written.</returns>
    /// <exception cref="PerennialException">Exit 2: the target exists. Exit 3: the source is damaged, or the new type's range is too small for a weight.</exception>
    public static IReadOnlyList<string> Convert(string source, string target, ConversionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        WeightFiles.Check(source, ConfigJson.Read(source));
        if (options.Type is not null && Quantization.QuantizationScheme.Read(source) is not null) return ConvertQuantized(source, target, options);
        IReadOnlyList<string> written = [];
        Into(target, temporary =>
        {
            written = WriteWeights(source, temporary, options);
            CopyOthers(source, temporary, options);
        });
        return written;
    }

    /// <summary>Refuses a folder that has something in it: before long work for it begins.</summary>
    /// <exception cref="PerennialException">Exit 2.</exception>
    public static void RequireNew(string target)
    {
        if (Directory.Exists(target) && Directory.EnumerateFileSystemEntries(target).Any()) throw PerennialException.Usage($"{target}: exists already; choose another --out");
    }

    /// <summary>Makes a folder that appears when everything in it is on the disk.</summary>
    /// <param name="target">A new folder.</param>
    /// <param name="fill">Writes into the folder it is given.</param>
    /// <exception cref="PerennialException">Exit 2: the target exists.</exception>
    public static void Into(string target, Action<string> fill)
    {
        ArgumentNullException.ThrowIfNull(fill);
        RequireNew(target);
        var temporary = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target)) + AtomicFile.TemporarySuffix;
        if (Directory.Exists(temporary)) Directory.Delete(temporary, recursive: true);
        Directory.CreateDirectory(temporary);
        try
        {
            fill(temporary);
            if (Directory.Exists(target)) Directory.Delete(target);
            Directory.Move(temporary, target);
        }
        catch
        {
            Directory.Delete(temporary, recursive: true);
            throw;
        }
    }

    /// <summary>Integers become the float32 numbers that they mean, and those are converted.</summary>
    private static IReadOnlyList<string> ConvertQuantized(string source, string target, ConversionOptions options)
    {
        var between = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target)) + "-dequantized" + AtomicFile.TemporarySuffix;
        try
        {
            Quantization.FolderQuantization.Dequantize(source, between);
            return Convert(between, target, options);
        }
        finally
        {
            if (Directory.Exists(between)) Directory.Delete(between, recursive: true);
        }
    }

    private static IReadOnlyList<string> WriteWeights(string source, string target, ConversionOptions options)
    {
        var files = new List<SafetensorsFile>();
        try
        {
            foreach (var path in WeightSources.Of(source)) files.Add(SafetensorsFile.Open(path));
            var tensors = files.SelectMany(file => file.Entries.Select(entry => Tensor(file, entry, options.Type))).ToList();
            if (tensors.GroupBy(tensor => tensor.Name, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1) is { } twice)
                throw PerennialException.Damaged($"{source}: tensor '{twice.Key}' stands in two files");
            return WriteTensors(target, tensors, options);
        }
        finally
        {
            foreach (var file in files) file.Dispose();
        }
    }

    /// <summary>Writes tensors as one weight file, or as shards with their index.</summary>
    /// <param name="target">The folder.</param>
    /// <param name="tensors">The tensors in their order.</param>
    /// <param name="options">How.</param>
    /// <returns>The weight files written.</returns>
    public static IReadOnlyList<string> WriteTensors(string target, IReadOnlyList<SafetensorsTensor> tensors, ConversionOptions options)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(options);
        var shards = Shards(tensors, options.ShardBytes);
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt" };
        var names = shards.Select((_, i) => shards.Count == 1 ? WeightFiles.FileName : $"model-{i + 1:D5}-of-{shards.Count:D5}.safetensors").ToList();
        for (var i = 0; i < shards.Count; i++) SafetensorsWriter.Write(Path.Combine(target, names[i]), shards[i], metadata);
        if (shards.Count > 1) WriteIndex(target, shards, names);
        return names;
    }

    private static SafetensorsTensor Tensor(SafetensorsFile file, SafetensorsEntry entry, SafetensorsType? wanted)
    {
        if (wanted is not { } type || type == entry.Type || !FloatConversion.IsWeight(entry.Type)) return SafetensorsTensor.At(entry.Name, entry.Type, entry.Shape, file.Pointer(entry));
        int size = entry.Type.Size(), newSize = type.Size();
        return SafetensorsTensor.Made(entry.Name, type, entry.Shape, (from, destination) =>
        {
            var lost = FloatConversion.Convert(file.Bytes(entry, from / newSize * size, destination.Length / newSize * size), entry.Type, destination, type);
            if (lost > 0) throw PerennialException.Damaged($"{file.Path}: tensor '{entry.Name}' has numbers beyond the range of {type}; take BF16, whose range is that of float32");
        });
    }

    private static List<List<SafetensorsTensor>> Shards(IReadOnlyList<SafetensorsTensor> tensors, long? limit)
    {
        var shards = new List<List<SafetensorsTensor>> { new() };
        var bytes = 0L;
        // The parts of a quantized matrix stay together.
        foreach (var group in tensors.GroupBy(tensor => Quantization.PackedMatrix.PlainName(tensor.Name) ?? tensor.Name, StringComparer.Ordinal))
        {
            var size = group.Sum(tensor => tensor.ByteLength);
            if (bytes + size > limit && shards[^1].Count > 0)
            {
                shards.Add([]);
                bytes = 0;
            }
            shards[^1].AddRange(group);
            bytes += size;
        }
        return shards;
    }

    private static void WriteIndex(string target, List<List<SafetensorsTensor>> shards, List<string> names)
    {
        var map = new JsonObject();
        foreach (var (tensor, file) in shards.SelectMany((shard, i) => shard.Select(tensor => (tensor.Name, names[i]))).OrderBy(pair => pair.Name, StringComparer.Ordinal)) map[tensor] = file;
        var index = new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = shards.Sum(shard => shard.Sum(tensor => tensor.ByteLength)) }, ["weight_map"] = map };
        AtomicFile.WriteText(Path.Combine(target, WeightSources.IndexName), index.ToJsonString(Indented) + "\n");
    }

    /// <summary>Copies what is neither weights nor a record of them: config, tokenizer.</summary>
    public static void CopyOthers(string source, string target, ConversionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        foreach (var path in Directory.GetFiles(source))
        {
            var name = Path.GetFileName(path);
            // The manifest vouches for the old files; weights were written above.
            if (name.EndsWith(".safetensors", StringComparison.Ordinal) || name is WeightSources.IndexName or "manifest.json" or "universal.json" || name.EndsWith(AtomicFile.TemporarySuffix, StringComparison.Ordinal)) continue;
            if (name == ConfigJson.FileName && options.Type is { } type)
            {
                var json = JsonNode.Parse(File.ReadAllBytes(path))!.AsObject();
                json.Remove("dtype");
                json["torch_dtype"] = type switch { SafetensorsType.F16 => "float16", SafetensorsType.BF16 => "bfloat16", _ => "float32" };
                AtomicFile.WriteText(Path.Combine(target, name), json.ToJsonString(Indented) + "\n");
            }
            else
                AtomicFile.Write(Path.Combine(target, name), stream => { using var original = File.OpenRead(path); original.CopyTo(stream); });
        }
    }
}
