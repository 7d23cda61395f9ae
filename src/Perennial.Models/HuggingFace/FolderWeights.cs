using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Models.Quantization;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models.HuggingFace;

/// <summary>Reads the plain weights of a folder one at a time, whatever files they lie in: for work on models that need not fit in memory.</summary>
public sealed class FolderWeights : IDisposable
{
    private readonly List<SafetensorsFile> files = [];
    private readonly Dictionary<string, (SafetensorsFile File, string Name)> places = new(StringComparer.Ordinal);
    private readonly string folder;

    /// <summary>Opens the files and finds every weight, without reading any.</summary>
    /// <exception cref="PerennialException">Exit 2: the weights are quantized. Exit 3: files are missing or damaged, or lack a weight.</exception>
    public FolderWeights(string folder, DecoderConfig config)
    {
        this.folder = folder;
        if (QuantizationScheme.Read(folder) is not null) throw PerennialException.Usage($"{folder}: is quantized; take the checkpoint that it was made from, for differences of rounded weights mean little");
        WeightFiles.Check(folder, config);
        Layout = DecoderLayout.Of(config);
        try
        {
            foreach (var path in WeightSources.Of(folder))
            {
                var file = SafetensorsFile.Open(path);
                files.Add(file);
                foreach (var entry in file.Entries)
                {
                    if (WeightFiles.Canonical(entry.Name, config, Layout) is not { } name) continue;
                    WeightFiles.CheckEntry(path, entry, Layout[name]);
                    if (!places.TryAdd(name, (file, entry.Name))) throw PerennialException.Damaged($"{path}: tensor '{entry.Name}' fills '{name}' a second time");
                }
            }
            if (Layout.Entries.FirstOrDefault(entry => !places.ContainsKey(entry.Name)) is { } lost) throw PerennialException.Damaged($"{folder}: the weights lack '{lost.Name}'");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Names and shapes.</summary>
    public FlatLayout Layout { get; }

    /// <summary>One weight as a new float32 tensor.</summary>
    /// <exception cref="PerennialException">Exit 3: there is no such weight.</exception>
    public Tensor Read(string name) => places.TryGetValue(name, out var place) ? place.File.Read(place.Name, ScalarType.Float32) : throw PerennialException.Damaged($"{folder}: the weights lack '{name}'");

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var file in files) file.Dispose();
        files.Clear();
    }
}
