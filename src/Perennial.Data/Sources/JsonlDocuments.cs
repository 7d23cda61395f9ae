using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Sources;

/// <summary>Documents of a JSON-lines file: one object a line, the text in one field. Numbers become scores, other text up to 2 KiB becomes fields.</summary>
public static class JsonlDocuments
{
    private const int LongestField = 2048;

    /// <summary>Reads a JSON-lines file; blank lines are passed over. Malformed: not UTF-8, not an object, no such field, a field that is not text, longer than 128 MiB.</summary>
    /// <exception cref="PerennialException">Exit 3: broken compression.</exception>
    public static async IAsyncEnumerable<Document> Read(string path, string name, string field, Action<MalformedRecord> malformed, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await using var stream = SourceStream.Open(path);
        var lines = new LineReader(stream, path);
        var key = Encoding.UTF8.GetBytes(field);
        for (var record = 0L; lines.Next(cancellation);)
        {
            if (Parse(lines, name, field, key, record, malformed) is not { } document) continue;
            record++;
            yield return document;
        }
    }

    private static Document? Parse(LineReader lines, string name, string field, byte[] key, long record, Action<MalformedRecord> malformed)
    {
        var (line, offset) = (lines.Number, lines.Offset);
        var text = lines.Line;
        if (line == 1 && text.StartsWith("\uFEFF"u8))
        {
            text = text[3..];
            offset += 3;
        }
        if (!lines.TooLong && text.Trim(" \t\r"u8).IsEmpty) return null;
        var (reason, problem) = lines.TooLong ? ("too long", $"{name}:{line}: is longer than {GrowingBuffer.LargestRecord} bytes") : ("not UTF-8", Utf8Check.Problem(text, $"{name}:{line}", offset));
        if (problem is null)
        {
            try
            {
                var (document, wrong) = Bind(text, field, key);
                if (document is not null) return document with { Origin = new Provenance(name, record, line) { Offset = offset, Bytes = text.Length } };
                (reason, problem) = ("no text in the field", $"{name}:{line}: {wrong}");
            }
            catch (Exception error) when (error is JsonException or InvalidOperationException)
            {
                (reason, problem) = ("not valid JSON", $"{name}:{line}: is not valid JSON: {error.Message.ReplaceLineEndings(" ")} (mend or remove this line)");
            }
        }
        DocumentSource.Refuse(malformed, new MalformedRecord(name, line, lines.Offset, lines.Bytes, reason, problem));
        return null;
    }

    private static (Document? Document, string? Problem) Bind(ReadOnlySpan<byte> json, string field, byte[] key)
    {
        var reader = new Utf8JsonReader(json);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            var found = Describe(reader.TokenType);
            while (reader.Read()) { /* a line that breaks later is told as broken */ }
            return (null, $"is not a JSON object but {found}");
        }
        byte[]? text = null;
        string? wrong = null;
        List<string>? names = null;
        Dictionary<string, double>? scores = null;
        Dictionary<string, string>? fields = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var isText = reader.ValueTextEquals(key);
            var name = isText ? field : reader.GetString()!;
            if (!isText && text is null) (names ??= []).Add(name);
            reader.Read();
            if (isText && reader.TokenType == JsonTokenType.String)
            {
                var unescaped = new byte[reader.ValueSpan.Length];
                var length = reader.CopyString(unescaped);
                text = length == unescaped.Length ? unescaped : unescaped[..length];
            }
            else if (isText) wrong = $"field '{field}' is not text but {Describe(reader.TokenType)}";
            else if (reader.TokenType == JsonTokenType.Number && reader.TryGetDouble(out var number) && double.IsFinite(number)) (scores ??= new(StringComparer.Ordinal))[name] = number;
            else if (reader.TokenType == JsonTokenType.String && reader.ValueSpan.Length <= LongestField) (fields ??= new(StringComparer.Ordinal))[name] = reader.GetString()!;
            reader.Skip();
        }
        while (reader.Read()) { /* nothing may follow the object */ }
        if (text is null) return (null, wrong ?? $"has no field '{field}'; it has {(names is null ? "none" : string.Join(", ", names.Select(one => $"'{one}'")))} (choose one with 'field')");
        var document = new Document(text, new Provenance("", 0, 0));
        if (scores is not null) document = document with { Scores = scores };
        return (fields is null ? document : document with { Fields = fields }, null);
    }

    private static string Describe(JsonTokenType type) => type switch
    {
        JsonTokenType.StartArray => "a list",
        JsonTokenType.StartObject => "an object",
        JsonTokenType.Number => "a number",
        JsonTokenType.String => "text",
        JsonTokenType.Null => "null",
        _ => "true or false",
    };
}
