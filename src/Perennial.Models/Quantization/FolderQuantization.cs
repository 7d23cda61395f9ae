using System.Text.Json;
using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Models.HuggingFace;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models.Quantization;

/// <summary>What a quantization made.</summary>
/// <param name="Matrices">Matrices that were quantized.</param>
/// <param name="Before">Bytes of the model's tensors in float32.</param>
/// <param name="After">Bytes of the new file's tensors, counted.</param>
/// <param name="Computed">Bytes by the formula: <see cref="QuantizationScheme.Bytes"/> for every matrix, 4 a number for the rest.</param>
/// <param name="RelativeError">Norm of the matrices' change over their norm.</param>
public sealed record QuantizationReport(int Matrices, long Before, long After, long Computed, double RelativeError);

/// <summary>
/// Hugging Face folders with quantized weights. The matrices of the blocks are rounded; embedding, head, norms and biases stay float32. A
/// quantized folder is loaded as the float32 weights that its integers mean, so it scores exactly as its dequantized copy does.
/// </summary>
public static class FolderQuantization
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Quantizes a folder.</summary>
    /// <param name="source">A folder whose config Perennial reads.</param>
    /// <param name="target">A new folder; it appears when everything in it is on the disk.</param>
    /// <param name="scheme">How.</param>
    /// <param name="search">Whether clipping is searched.</param>
    /// <exception cref="PerennialException">Exit 2: the target exists, or the source is quantized already. Exit 3: the source is damaged.</exception>
    public static QuantizationReport Quantize(string source, string target, QuantizationScheme scheme, bool search)
    {
        ArgumentNullException.ThrowIfNull(scheme);
        scheme.Checked();
        if (QuantizationScheme.Read(source) is not null) throw PerennialException.Usage($"{source}: is quantized already; rounding twice loses twice, start from the unquantized model");
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var (config, layout, values) = Load(source);
        double change = 0, size = 0;
        var report = new QuantizationReport(0, layout.Length * sizeof(float), 0, 0, 0);
        FolderConversion.Into(target, temporary =>
        {
            var tensors = new List<SafetensorsTensor>();
            var inputFirst = config.Family == ModelFamily.Gpt2;
            foreach (var entry in layout.Entries)
            {
                var view = FlatParameters.View(values, entry);
                if (entry.Kind != EntryKind.Matrix)
                {
                    tensors.Add(view.ToSafetensors(entry.Name));
                    report = report with { Computed = report.Computed + entry.Length * sizeof(float) };
                    continue;
                }
                tensors.AddRange(PackedMatrix.Write(entry.Name, view, inputFirst, scheme, search));
                var (outputs, inputs) = inputFirst ? (entry.Shape[1], entry.Shape[0]) : (entry.Shape[0], entry.Shape[1]);
                report = report with { Matrices = report.Matrices + 1, Computed = report.Computed + scheme.Bytes(outputs, inputs) };
            }
            SafetensorsWriter.Write(Path.Combine(temporary, WeightFiles.FileName), tensors, new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt" });
            report = report with { After = tensors.Sum(tensor => tensor.ByteLength) };
            WriteConfig(source, temporary, config, scheme);
            CopyOthers(source, temporary);
            using var again = zeros(layout.Length);
            WeightFiles.Read(temporary, config, layout, again);
            foreach (var entry in layout.Entries.Where(entry => entry.Kind == EntryKind.Matrix))
            {
                using var step = NewDisposeScope();
                var (before, after) = (FlatParameters.View(values, entry).to_type(ScalarType.Float64), FlatParameters.View(again, entry).to_type(ScalarType.Float64));
                change += (after - before).square().sum().item<double>();
                size += before.square().sum().item<double>();
            }
        });
        return report with { RelativeError = size > 0 ? Math.Sqrt(change / size) : 0 };
    }

    /// <summary>Writes a quantized folder as the float32 weights that its integers mean.</summary>
    /// <exception cref="PerennialException">Exit 2: the target exists. Exit 3: the source is damaged.</exception>
    public static void Dequantize(string source, string target)
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var (config, layout, values) = Load(source);
        FolderConversion.Into(target, temporary =>
        {
            WeightFiles.Write(layout, values, temporary);
            WriteConfig(source, temporary, config, null);
            CopyOthers(source, temporary);
        });
    }

    private static (DecoderConfig Config, FlatLayout Layout, Tensor Values) Load(string source)
    {
        var config = ConfigJson.Read(source);
        WeightFiles.Check(source, config);
        var layout = DecoderLayout.Of(config);
        var values = zeros(layout.Length);
        WeightFiles.Read(source, config, layout, values);
        return (config, layout, values);
    }

    private static void WriteConfig(string source, string target, DecoderConfig config, QuantizationScheme? scheme)
    {
        var json = JsonNode.Parse(File.ReadAllBytes(Path.Combine(source, ConfigJson.FileName))) as JsonObject ?? ConfigJson.ToJson(config);
        json.Remove("quantization_config");
        json.Remove("dtype");
        json["torch_dtype"] = "float32";
        if (scheme is not null) json["quantization_config"] = scheme.ToJson();
        AtomicFile.WriteText(Path.Combine(target, ConfigJson.FileName), json.ToJsonString(Indented) + "\n");
    }

    private static void CopyOthers(string source, string target)
    {
        foreach (var path in Directory.GetFiles(source))
        {
            var name = Path.GetFileName(path);
            if (name.EndsWith(".safetensors", StringComparison.Ordinal) || name is WeightSources.IndexName or "manifest.json" or ConfigJson.FileName || name.EndsWith(AtomicFile.TemporarySuffix, StringComparison.Ordinal)) continue;
            AtomicFile.Write(Path.Combine(target, name), stream => { using var original = File.OpenRead(path); original.CopyTo(stream); });
        }
    }
}
