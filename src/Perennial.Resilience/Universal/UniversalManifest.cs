using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Resilience.Layouts;

namespace Perennial.Resilience.Universal;

/// <summary>One file of a universal checkpoint.</summary>
/// <param name="Name">Its name in the folder.</param>
/// <param name="Bytes">Size.</param>
/// <param name="Hash">XXH128 of the whole file, hex.</param>
/// <param name="Chunks">Slot → XXH128 of each chunk of the slot's data, hex.</param>
public sealed record UniversalFile(string Name, long Bytes, string Hash, IReadOnlyDictionary<string, IReadOnlyList<string>> Chunks);

/// <summary>One slot of a universal checkpoint.</summary>
/// <param name="Slot">The slot.</param>
/// <param name="Live">The layout that the state had in memory.</param>
/// <param name="Stored">The layout of the files: file i is rank i.</param>
public sealed record UniversalSlot(StateSlot Slot, Layout Live, Layout Stored);

/// <summary><c>universal.json</c>: everything about a universal checkpoint but the bytes. Written last; docs/checkpoint-format.md describes it.</summary>
/// <param name="Format">Format version.</param>
/// <param name="Save">Tells one save from another; all files carry it.</param>
/// <param name="Shape">The parallel shape of the run, as <see cref="ParallelShape.Parse"/> reads it.</param>
/// <param name="ChunkBytes">Bytes a checksum covers.</param>
/// <param name="Slots">The slots with their layouts.</param>
/// <param name="Files">The files.</param>
/// <param name="Summary">What the state contains, for the transition gate.</param>
/// <param name="Canary">The canary batch, if there is one.</param>
public sealed record UniversalManifest(
    int Format, string Save, string Shape, int ChunkBytes, IReadOnlyList<UniversalSlot> Slots, IReadOnlyList<UniversalFile> Files, StateSummary Summary, Canary? Canary = null)
{
    /// <summary>The manifest's file name.</summary>
    public const string FileName = "universal.json";

    /// <summary>The format version that this program writes and reads.</summary>
    public const int CurrentFormat = 1;

    /// <summary>The layout that the state had in memory.</summary>
    [JsonIgnore]
    public StateLayout Live => new(ParallelShape.Parse(Shape), [.. Slots.Select(slot => new SlotLayout(slot.Slot, slot.Live))]);

    /// <summary>The layout of the files.</summary>
    [JsonIgnore]
    public StateLayout Stored => new(ParallelShape.Single, [.. Slots.Select(slot => new SlotLayout(slot.Slot, slot.Stored))]);

    /// <summary>Writes the manifest.</summary>
    public void Write(string folder) => AtomicFile.WriteText(Path.Combine(folder, FileName), JsonSerializer.Serialize(this, UniversalJson.Options) + "\n");

    /// <summary>Reads the manifest.</summary>
    /// <exception cref="PerennialException">Exit 3: missing, damaged, or of another format.</exception>
    public static UniversalManifest Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path)) throw PerennialException.Damaged($"{folder}: has no {FileName}; it was not written to the end");
        var manifest = UniversalJson.Read<UniversalManifest>(path);
        if (manifest.Format != CurrentFormat) throw PerennialException.Damaged($"{path}: format {manifest.Format}; this program reads {CurrentFormat}");
        foreach (var slot in manifest.Slots)
            if (slot.Stored.Ranks.Count != manifest.Files.Count) throw PerennialException.Damaged($"{path}: slot '{slot.Slot.Name}' lies in {slot.Stored.Ranks.Count} files, but there are {manifest.Files.Count}");
        foreach (var file in manifest.Files)
            if (Path.GetFileName(file.Name) != file.Name) throw PerennialException.Damaged($"{path}: '{file.Name}' is no plain file name");
        return manifest;
    }
}

/// <summary>How the files' JSON is read and written: strictly.</summary>
internal static class UniversalJson
{
    public static JsonSerializerOptions Options { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Converters = { new LayoutConverter(), new DigestConverter(), new JsonStringEnumConverter<SlotRole>(JsonNamingPolicy.CamelCase), new JsonStringEnumConverter<SafetensorsType>() },
    };

    public static T Read<T>(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<T>(File.ReadAllBytes(path), Options) ?? throw PerennialException.Damaged($"{path}: is damaged");
        }
        catch (Exception error) when (error is JsonException or FormatException or OverflowException)
        {
            throw PerennialException.Damaged($"{path}: is damaged: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }

    private sealed class LayoutConverter : JsonConverter<Layout>
    {
        public override Layout Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => LayoutJson.Read(JsonNode.Parse(ref reader), UniversalManifest.FileName);

        public override void Write(Utf8JsonWriter writer, Layout value, JsonSerializerOptions options) => LayoutJson.Write(value).WriteTo(writer);
    }

    private sealed class DigestConverter : JsonConverter<ContentDigest>
    {
        public override ContentDigest Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => ContentDigest.Parse(reader.GetString() ?? "");

        public override void Write(Utf8JsonWriter writer, ContentDigest value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
    }
}
