using System.Text.Json.Nodes;
using Perennial.Core;
using Perennial.Models.HuggingFace;

namespace Perennial.Models.Quantization;

/// <summary>How weights are rounded to integers.</summary>
/// <param name="Bits">4 or 8: integers −8 … 7 or −128 … 127.</param>
/// <param name="Group">Inputs of an output row that share a scale; the last group of a row may be shorter. 0: the whole row.</param>
public sealed record QuantizationScheme(int Bits, int Group)
{
    private const string Method = "compressed-tensors", Format = "pack-quantized", Key = "quantization_config";

    /// <summary>Largest integer.</summary>
    public int Highest => (1 << (Bits - 1)) - 1;

    /// <summary>Integers in 32 bits.</summary>
    public int Packed => 32 / Bits;

    /// <summary>Scales of a row of some inputs.</summary>
    public long Groups(long inputs) => Group == 0 ? 1 : (inputs + Group - 1) / Group;

    /// <summary>Bytes of a quantized matrix: packed integers, a float32 scale for every group, its shape.</summary>
    public long Bytes(long outputs, long inputs) => outputs * ((inputs + Packed - 1) / Packed + Groups(inputs)) * sizeof(int) + 2 * sizeof(long);

    /// <summary>Refuses an impossible scheme.</summary>
    /// <exception cref="PerennialException">Exit 2.</exception>
    public QuantizationScheme Checked()
    {
        if (Bits is not (4 or 8)) throw PerennialException.Usage($"--bits {Bits}: 4 and 8 are possible");
        if (Group < 0 || (Group > 0 && Group % 8 != 0)) throw PerennialException.Usage($"--group {Group}: take a multiple of 8, such as 128, or 0 for one scale a row");
        return this;
    }

    /// <summary>The scheme of a folder whose weights are quantized; null where they are not.</summary>
    /// <exception cref="PerennialException">Exit 3: quantized in a way that is not read here, by name.</exception>
    public static QuantizationScheme? Read(string folder)
    {
        var path = Path.Combine(folder, ConfigJson.FileName);
        return File.Exists(path) && JsonNode.Parse(File.ReadAllBytes(path)) is JsonObject json ? Parse(json, path) : null;
    }

    /// <summary>The scheme that a <c>config.json</c> states; null for none.</summary>
    /// <exception cref="PerennialException">Exit 3: quantized in a way that is not read here, by name.</exception>
    internal static QuantizationScheme? Parse(JsonObject json, string path)
    {
        if (json[Key] is null) return null;
        try
        {
            var config = json[Key]!.AsObject();
            var groups = config["config_groups"]?.AsObject();
            var weights = groups is { Count: 1 } ? groups.First().Value!["weights"]?.AsObject() : null;
            if ((string?)config["quant_method"] == Method && (string?)config["format"] == Format && weights is not null && (string?)weights["type"] == "int" && (bool?)weights["symmetric"] == true
                && (string?)weights["strategy"] is "group" or "channel" && groups!.First().Value!["input_activations"] is null && weights["num_bits"]?.GetValue<int>() is 4 or 8)
                return new QuantizationScheme((int)weights["num_bits"]!, (string?)weights["strategy"] == "group" ? (int)weights["group_size"]! : 0);
        }
        catch (Exception error) when (error is InvalidOperationException or FormatException or OverflowException)
        {
            // Said below.
        }
        throw PerennialException.Damaged($"{path}: '{Key}' is not supported; known: {Method}, {Format}, symmetric integers of 4 or 8 bits by group or channel; or give unquantized weights");
    }

    /// <summary>The <c>quantization_config</c> of Hugging Face's compressed-tensors.</summary>
    internal JsonObject ToJson()
    {
        var weights = new JsonObject { ["num_bits"] = Bits, ["type"] = "int", ["symmetric"] = true, ["strategy"] = Group == 0 ? "channel" : "group", ["group_size"] = Group == 0 ? null : Group, ["dynamic"] = false };
        return new JsonObject
        {
            ["quant_method"] = Method, ["format"] = Format, ["quantization_status"] = "compressed", ["ignore"] = new JsonArray("lm_head"),
            ["config_groups"] = new JsonObject { ["group_0"] = new JsonObject { ["targets"] = new JsonArray("Linear"), ["weights"] = weights, ["input_activations"] = null, ["output_activations"] = null } },
        };
    }
}
