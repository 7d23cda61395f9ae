using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models.HuggingFace;

/// <summary>
/// The weights of a Hugging Face folder, tensor by tensor: for a process that holds a part of a model only, and for work on models that need not fit in memory. Opening proves that every
/// parameter has exactly one source and that nothing would be left unread, without reading a weight.
/// </summary>
public sealed class WeightReader : IDisposable
{
    private readonly List<SafetensorsFile> files = [];
    private readonly Dictionary<string, (SafetensorsFile File, SafetensorsEntry Entry)> sources = new(StringComparer.Ordinal);

    private (SafetensorsFile File, SafetensorsEntry Entry)? repeated;

    private WeightReader(FlatLayout layout) => Layout = layout;

    /// <summary>Names and shapes of the model's weights.</summary>
    public FlatLayout Layout { get; }

    /// <summary>Opens a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="config">The model its weights must fill.</param>
    /// <exception cref="PerennialException">Exit 3: no weights, damaged, missing, surplus or misshapen tensors, or another element type, by name.</exception>
    public static WeightReader Open(string folder, DecoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        WeightFiles.Check(folder, config);
        var layout = DecoderLayout.Of(config);
        var reader = new WeightReader(layout);
        try
        {
            foreach (var path in WeightSources.Of(folder)) reader.Add(SafetensorsFile.Open(path), config, layout);
            var missing = layout.Entries.FirstOrDefault(entry => !reader.sources.ContainsKey(entry.Name));
            if (missing is not null) throw PerennialException.Damaged($"{folder}: the weights lack '{missing.Name}'");
            reader.CheckRepeatedHead(new DecoderNames(config).Embedding);
            return reader;
        }
        catch
        {
            reader.Dispose();
            throw;
        }
    }

    /// <summary>All values of a tensor, as float32.</summary>
    /// <param name="name">A name of the model's layout.</param>
    public float[] Values(string name) => Values(sources[name]);

    /// <summary>A tensor as a new float32 one.</summary>
    /// <param name="name">A name of the model's layout.</param>
    public Tensor Read(string name) => sources[name].File.Read(sources[name].Entry.Name, ScalarType.Float32);

    /// <summary>Where a float32 tensor lies in its mapped file, and its bytes; null where it has another element type.</summary>
    /// <param name="name">A name of the model's layout.</param>
    public (nint Pointer, long Bytes)? Mapped(string name)
    {
        var (file, entry) = sources[name];
        return entry.Type == SafetensorsType.F32 ? (file.Pointer(entry), entry.ByteLength) : null;
    }

    private static float[] Values((SafetensorsFile File, SafetensorsEntry Entry) source)
    {
        using var scope = NewDisposeScope();
        return source.File.Read(source.Entry.Name, ScalarType.Float32).data<float>().ToArray();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var file in files) file.Dispose();
    }

    /// <summary>A tied model may repeat its embedding as the head; a head of its own would be lost in silence.</summary>
    private void CheckRepeatedHead(string embedding)
    {
        if (repeated is not { } head) return;
        WeightFiles.CheckShape(head.File.Path, head.Entry, sources[embedding].Entry.Shape);
        if (!Values(head).AsSpan().SequenceEqual(Values(embedding)))
            throw PerennialException.Damaged($"{head.File.Path}: '{head.Entry.Name}' differs from the embedding, but config.json says 'tie_word_embeddings: true'; set it to false if the head is a tensor of its own");
    }

    private void Add(SafetensorsFile file, DecoderConfig config, FlatLayout layout)
    {
        files.Add(file);
        foreach (var entry in file.Entries)
        {
            if (WeightFiles.Canonical(entry.Name, config, layout) is not { } name)
            {
                if (WeightFiles.IsBuffer(entry.Name, config)) continue;
                if (WeightFiles.IsRepeatedHead(entry.Name, config))
                {
                    repeated = (file, entry);
                    continue;
                }
                throw PerennialException.Damaged($"{file.Path}: tensor '{entry.Name}' has no place in this {config.Family} model{WeightFiles.Hint(entry.Name)}");
            }
            WeightFiles.CheckEntry(file.Path, entry, layout[name]);
            if (!sources.TryAdd(name, (file, entry))) throw PerennialException.Damaged($"{file.Path}: tensor '{entry.Name}' fills '{name}' a second time");
        }
    }
}
