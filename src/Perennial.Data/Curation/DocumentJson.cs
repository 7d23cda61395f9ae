using System.Text.Encodings.Web;
using System.Text.Json;

namespace Perennial.Data.Curation;

/// <summary>Documents as JSON lines: what curated shards hold.</summary>
internal static class DocumentJson
{
    /// <summary>Text stays readable; only what JSON demands is escaped.</summary>
    public static JsonSerializerOptions Relaxed { get; } = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes a document as one line: text, where it came from, then scores and fields by name.</summary>
    public static void WriteLine(Utf8JsonWriter json, Document document)
    {
        json.WriteStartObject();
        json.WriteString("text", document.Text.Span);
        json.WriteString("source_path", document.Origin.Path);
        json.WriteNumber("source_record", document.Origin.Record);
        json.WriteNumber("source_line", document.Origin.Line);
        json.WriteNumber("source_offset", document.Origin.Offset);
        json.WriteNumber("source_bytes", document.Origin.Bytes);
        foreach (var (name, score) in document.Scores.OrderBy(pair => pair.Key, StringComparer.Ordinal).Where(pair => !IsOurs(pair.Key))) json.WriteNumber(name, score);
        foreach (var (name, value) in document.Fields.OrderBy(pair => pair.Key, StringComparer.Ordinal).Where(pair => !IsOurs(pair.Key))) json.WriteString(name, value);
        json.WriteEndObject();
        json.Flush();
    }

    private static bool IsOurs(string name) => name == "text" || name.StartsWith("source_", StringComparison.Ordinal);
}
