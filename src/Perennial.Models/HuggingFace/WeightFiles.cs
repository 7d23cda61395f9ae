using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Models.Quantization;
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

    /// <summary>What the file says about itself; some readers ask for it.</summary>
    public static IReadOnlyDictionary<string, string> Metadata { get; } = new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt" };

    /// <summary>Writes float32 weights; names and order are the layout's.</summary>
    public static void Write(FlatLayout layout, Tensor values, string folder)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(values);
        var start = TensorMemory.Pointer(values);
        SafetensorsWriter.Write(Path.Combine(folder, FileName),
            layout.Entries.Select(entry => SafetensorsTensor.At(entry.Name, SafetensorsType.F32, entry.Shape, start + (nint)(entry.Offset * sizeof(float)))), Metadata);
    }

    /// <summary>Writes float32 weights that are made while they are written, one at a time.</summary>
    /// <param name="layout">Names, order and shapes.</param>
    /// <param name="weight">Makes the weight of an entry; it is disposed here.</param>
    /// <param name="folder">Where to.</param>
    public static void Write(FlatLayout layout, Func<FlatEntry, Tensor> weight, string folder)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(weight);
        SafetensorsWriter.Write(Path.Combine(folder, FileName),
            layout.Entries.Select(entry => SafetensorsBridge.Made(entry.Name, entry.Shape, () => weight(entry))), Metadata);
    }

    /// <summary>Fills flat values from a folder, converting float16 and bfloat16 to float32.</summary>
    /// <exception cref="PerennialException">Exit 3: no weights, damaged, missing, surplus or misshapen tensors, or another element type, by name.</exception>
    public static void Read(string folder, DecoderConfig config, FlatLayout layout, Tensor values)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(layout);
        using var _ = no_grad();
        var filled = new HashSet<string>(StringComparer.Ordinal);
        var sources = WeightSources.Of(folder);
        var scheme = QuantizationScheme.Read(folder);
        foreach (var path in sources)
        {
            using var file = SafetensorsFile.Open(path);
            foreach (var entry in file.Entries)
            {
                if (scheme is not null && PackedMatrix.PlainName(entry.Name) is { } plain)
                {
                    // Scales and shapes are read with the integers they belong to.
                    if (PackedMatrix.IsPacked(entry.Name)) filled.Add(ReadPacked(file, plain, scheme, config, layout, values));
                    else if (file.Header.Find(plain + "_packed") is null) throw PerennialException.Damaged($"{path}: '{entry.Name}' stands without '{plain}_packed'");
                    continue;
                }
                if (Canonical(entry.Name, config, layout) is not { } name)
                {
                    if (IsBuffer(entry.Name, config) || IsRepeatedHead(entry.Name, config)) continue;
                    throw PerennialException.Damaged($"{path}: tensor '{entry.Name}' has no place in this {config.Family} model{(entry.Name == "lm_head.weight" ? "" : Hint(entry.Name))}");
                }
                CheckEntry(path, entry, layout[name]);
                if (!filled.Add(name)) throw PerennialException.Damaged($"{path}: tensor '{entry.Name}' fills '{name}' a second time");
                using var view = FlatParameters.View(values, layout[name]);
                file.ReadInto(entry.Name, view);
            }
        }
        var missing = layout.Entries.Where(entry => !filled.Contains(entry.Name)).Select(entry => entry.Name).ToList();
        if (missing.Count > 0) throw PerennialException.Damaged($"{folder}: the weights lack {missing.Count} tensor(s): {string.Join(", ", missing.Take(4))}{(missing.Count > 4 ? ", …" : "")}");
        if (config.TiedHead) CheckRepeatedHead(sources, config, layout, values);
    }

    /// <summary>
    /// Looks at names, shapes and element types alone: whether a load would succeed, before memory for the model is taken.
    /// A damaged config that asks for a gigantic model is caught here.
    /// </summary>
    /// <exception cref="PerennialException">Exit 3: the files cannot fill such a model.</exception>
    public static void Check(string folder, DecoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        var (tensors, elements) = (0L, 0L);
        var scheme = QuantizationScheme.Read(folder);
        foreach (var path in WeightSources.Of(folder))
        {
            using var file = SafetensorsFile.Open(path);
            tensors += file.Entries.Count;
            elements += file.Entries.Sum(entry => scheme is not null && PackedMatrix.IsPacked(entry.Name) ? entry.Count * scheme.Packed : entry.Count);
        }
        // Every block has at least two norms: do not lay out a million blocks for a file with ten tensors.
        if (config.Layers > tensors) throw PerennialException.Damaged($"{folder}: config.json names {config.Layers} layers, but the weights lack them: they have {tensors} tensors");
        var needed = DecoderLayout.Of(config).Length;
        if (needed > elements) throw PerennialException.Damaged($"{folder}: a tensor has shape or is missing other than config.json says: the model needs {needed} numbers, the weights lack {needed - elements} of them");
    }

    private static string ReadPacked(SafetensorsFile file, string plain, QuantizationScheme scheme, DecoderConfig config, FlatLayout layout, Tensor values)
    {
        if (Canonical(plain, config, layout) is not { } name) throw PerennialException.Damaged($"{file.Path}: tensor '{plain}_packed' has no place in this {config.Family} model");
        if (layout[name].Kind != EntryKind.Matrix) throw PerennialException.Damaged($"{file.Path}: '{plain}' is no matrix of a block, so it cannot be quantized");
        using var view = FlatParameters.View(values, layout[name]);
        PackedMatrix.Read(file, plain, view, config.Family == ModelFamily.Gpt2, scheme);
        return name;
    }

    internal static void CheckEntry(string path, SafetensorsEntry entry, FlatEntry target) => CheckShape(path, entry, target.Shape);

    internal static void CheckShape(string path, SafetensorsEntry entry, IReadOnlyList<long> shape)
    {
        if (!entry.Shape.SequenceEqual(shape))
            throw PerennialException.Damaged($"{path}: tensor '{entry.Name}' has shape [{string.Join(", ", entry.Shape)}], the model needs [{string.Join(", ", shape)}]");
        if (entry.Type is not (SafetensorsType.F32 or SafetensorsType.F16 or SafetensorsType.BF16))
            throw PerennialException.Damaged($"{path}: tensor '{entry.Name}' is {entry.Type}; only F32, F16 and BF16 weights are read without loss");
    }

    /// <summary>A tied model may repeat its embedding as the head; a head of its own would be lost in silence.</summary>
    private static void CheckRepeatedHead(IReadOnlyList<string> sources, DecoderConfig config, FlatLayout layout, Tensor values)
    {
        foreach (var path in sources)
        {
            using var file = SafetensorsFile.Open(path);
            if (file.Header.Find(HeadName) is not { } entry) continue;
            using var scope = NewDisposeScope();
            var embedding = FlatParameters.View(values, layout[new DecoderNames(config).Embedding]);
            CheckEntry(path, entry, layout[new DecoderNames(config).Embedding]);
            if (!file.Read(HeadName, ScalarType.Float32).eq(embedding).all().item<bool>())
                throw PerennialException.Damaged($"{path}: '{HeadName}' differs from the embedding, but config.json says 'tie_word_embeddings: true'; set it to false if the head is a tensor of its own");
        }
    }

    internal const string HeadName = "lm_head.weight";

    /// <summary>The layout's name of a tensor, whether or not the file spells the model's prefix.</summary>
    internal static string? Canonical(string name, DecoderConfig config, FlatLayout layout)
    {
        if (layout.Contains(name)) return name;
        var prefix = config.Family == ModelFamily.Gpt2 ? "transformer." : "model.";
        return layout.Contains(prefix + name) ? prefix + name : null;
    }

    internal static bool IsRepeatedHead(string name, DecoderConfig config) => config.TiedHead && name == HeadName;

    // GPT-2 files carry the causal mask as buffers, older Llama files the rotary frequencies.
    internal static bool IsBuffer(string name, DecoderConfig config) => config.Family == ModelFamily.Gpt2
        ? name.EndsWith(".attn.bias", StringComparison.Ordinal) || name.EndsWith(".attn.masked_bias", StringComparison.Ordinal)
        : name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal);

    internal static string Hint(string name) => name.EndsWith(".bias", StringComparison.Ordinal) ? ": biases there are not supported" : "";
}
