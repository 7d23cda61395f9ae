using System.Text.Json;

namespace Perennial.Core.Safetensors;

/// <summary>
/// The index of a safetensors file, read strictly: every byte of the data belongs to exactly one tensor. The format is 8 bytes of
/// header length (little endian), a JSON object name → {dtype, shape, data_offsets}, and the data.
/// </summary>
public sealed class SafetensorsHeader
{
    /// <summary>Longest header read, the limit of the reference implementation.</summary>
    public const int LongestHeader = 100_000_000;

    /// <summary>The key under which a file keeps text about itself; no tensor may have this name.</summary>
    public const string MetadataKey = "__metadata__";

    private readonly Dictionary<string, SafetensorsEntry> byName;

    private SafetensorsHeader(IReadOnlyList<SafetensorsEntry> entries, Dictionary<string, SafetensorsEntry> byName, IReadOnlyDictionary<string, string> metadata)
    {
        Entries = entries;
        this.byName = byName;
        Metadata = metadata;
        DataLength = entries.Count == 0 ? 0 : entries[^1].Offset + entries[^1].ByteLength;
    }

    /// <summary>The tensors in the order of their data.</summary>
    public IReadOnlyList<SafetensorsEntry> Entries { get; }

    /// <summary>What the file says about itself; empty where it says nothing.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Bytes of data after the header.</summary>
    public long DataLength { get; }

    /// <summary>The entry of a name; null where there is none.</summary>
    public SafetensorsEntry? Find(string name) => byName.GetValueOrDefault(name);

    /// <summary>Reads and checks the JSON of a header.</summary>
    /// <param name="json">The header's bytes.</param>
    /// <param name="dataLength">Bytes that the file has after the header.</param>
    /// <param name="place">The file, for messages.</param>
    /// <exception cref="PerennialException">The header breaks the format (exit 3).</exception>
    public static SafetensorsHeader Parse(ReadOnlySpan<byte> json, long dataLength, string place)
    {
        if (json.Length == 0 || json[0] != (byte)'{') throw Damaged(place, "the header is not a JSON object");
        var entries = new List<SafetensorsEntry>();
        var byName = new Dictionary<string, SafetensorsEntry>(StringComparer.Ordinal);
        Dictionary<string, string>? metadata = null;
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 4 });
            reader.Read();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = reader.GetString()!;
                reader.Read();
                if (name == MetadataKey)
                {
                    if (metadata is not null) throw Damaged(place, $"'{MetadataKey}' stands twice");
                    metadata = ReadMetadata(ref reader, place);
                    continue;
                }
                var entry = ReadEntry(ref reader, name, place);
                if (!byName.TryAdd(name, entry)) throw Damaged(place, $"tensor '{name}' stands twice");
                entries.Add(entry);
            }
            if (reader.Read()) throw Damaged(place, "something follows the header's JSON object");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            // Utf8JsonReader tells broken UTF-8 and lone surrogates as InvalidOperationException.
            throw PerennialException.Damaged($"{place}: the header is not valid JSON; the file is damaged or no safetensors file", error);
        }
        var ordered = entries.OrderBy(entry => entry.Offset).ThenBy(entry => entry.ByteLength).ToArray();
        CheckCoverage(ordered, dataLength, place);
        return new SafetensorsHeader(ordered, byName, metadata ?? []);
    }

    /// <summary>The error for a file that breaks the format. Names from a hostile file may be long or hold line breaks: cut and cleaned.</summary>
    internal static PerennialException Damaged(string place, string what)
    {
        var line = string.Concat(what.Take(300).Select(c => char.IsControl(c) ? '?' : c));
        return PerennialException.Damaged($"{place}: {line}; the file is damaged or no safetensors file");
    }

    private static Dictionary<string, string> ReadMetadata(ref Utf8JsonReader reader, string place)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw Damaged(place, $"'{MetadataKey}' is not an object");
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            if (!reader.Read() || reader.TokenType != JsonTokenType.String) throw Damaged(place, $"'{MetadataKey}.{key}' is not a text");
            if (!metadata.TryAdd(key, reader.GetString()!)) throw Damaged(place, $"'{MetadataKey}.{key}' stands twice");
        }
        return metadata;
    }

    private static SafetensorsEntry ReadEntry(ref Utf8JsonReader reader, string name, string place)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw Damaged(place, $"tensor '{name}' is not an object");
        SafetensorsType? type = null;
        List<long>? shape = null, offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = reader.GetString()!;
            reader.Read();
            switch (key)
            {
                case "dtype" when type is null: type = ReadType(ref reader, name, place); break;
                case "shape" when shape is null: shape = ReadNumbers(ref reader, name, key, place); break;
                case "data_offsets" when offsets is null: offsets = ReadNumbers(ref reader, name, key, place); break;
                case "dtype" or "shape" or "data_offsets": throw Damaged(place, $"tensor '{name}' has '{key}' twice");
                default: throw Damaged(place, $"tensor '{name}' has an unknown key '{key}'");
            }
        }
        if (type is null || shape is null || offsets is null) throw Damaged(place, $"tensor '{name}' lacks one of dtype, shape, data_offsets");
        if (offsets.Count != 2 || offsets[0] > offsets[1]) throw Damaged(place, $"tensor '{name}' has data_offsets [{string.Join(", ", offsets)}], not [begin, end]");
        var bytes = type.Value.Bytes(shape) ?? throw Damaged(place, $"tensor '{name}' has the impossible shape [{string.Join(", ", shape)}]");
        if (bytes != offsets[1] - offsets[0])
            throw Damaged(place, $"tensor '{name}' needs {bytes} bytes for {type} [{string.Join(", ", shape)}], but data_offsets give it {offsets[1] - offsets[0]}");
        return new SafetensorsEntry(name, type.Value, shape, offsets[0], bytes);
    }

    private static SafetensorsType ReadType(ref Utf8JsonReader reader, string name, string place)
    {
        var text = reader.TokenType == JsonTokenType.String ? reader.GetString() : null;
        foreach (var type in Enum.GetValues<SafetensorsType>())
            if (text == type.ToString()) return type;
        throw Damaged(place, $"tensor '{name}' has the unknown dtype '{text}' (known: {string.Join(", ", Enum.GetNames<SafetensorsType>())})");
    }

    private static List<long> ReadNumbers(ref Utf8JsonReader reader, string name, string key, string place)
    {
        if (reader.TokenType != JsonTokenType.StartArray) throw Damaged(place, $"'{key}' of tensor '{name}' is not a list");
        var numbers = new List<long>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out var number) || number < 0)
                throw Damaged(place, $"'{key}' of tensor '{name}' holds something else than whole numbers from 0 to 2^63 - 1");
            numbers.Add(number);
        }
        return numbers;
    }

    private static void CheckCoverage(SafetensorsEntry[] ordered, long dataLength, string place)
    {
        var end = 0L;
        SafetensorsEntry? before = null;
        foreach (var entry in ordered)
        {
            if (entry.Offset < end) throw Damaged(place, $"tensors '{before!.Name}' and '{entry.Name}' overlap");
            if (entry.Offset > end) throw Damaged(place, $"{entry.Offset - end} bytes before tensor '{entry.Name}' belong to no tensor");
            if (entry.ByteLength > dataLength - entry.Offset) throw Damaged(place, $"tensor '{entry.Name}' ends {entry.Offset + (Int128)entry.ByteLength - dataLength} bytes after the file");
            end = entry.Offset + entry.ByteLength;
            before = entry;
        }
        if (end != dataLength) throw Damaged(place, $"{dataLength - end} bytes after the last tensor belong to no tensor");
    }
}
