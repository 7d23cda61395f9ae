using System.Runtime.CompilerServices;
using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Sources;

/// <summary>Documents of a JSON-lines file: one object a line, the text in one field. Numeric fields become scores.</summary>
public static class JsonlDocuments
{
    /// <summary>Reads a JSON-lines file; blank lines are passed over.</summary>
    /// <exception cref="PerennialException">Exit 3, with file and line: not UTF-8, not an object, no such field, a field that is not text.</exception>
    public static async IAsyncEnumerable<Document> Read(string path, string field, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await using var stream = SourceStream.Open(path);
        var buffer = new GrowingBuffer(stream, path);
        var (record, line, searched) = (0L, 0L, 0);
        while (true)
        {
            // What was searched for a line's end already is not searched again: a line may be gigabytes long.
            int end;
            while ((end = buffer.Unread[searched..].IndexOf((byte)'\n')) < 0 && !buffer.Ended)
            {
                searched = buffer.Unread.Length;
                await buffer.Fill(cancellation).ConfigureAwait(false);
            }
            if (end < 0 && buffer.Unread.IsEmpty) yield break;
            var length = end < 0 ? buffer.Unread.Length : searched + end;
            var offset = buffer.Offset;
            var text = buffer.Take(length);
            if (end >= 0) buffer.Skip(1);
            searched = 0;
            line++;
            if (line == 1 && text.AsSpan().StartsWith("\uFEFF"u8)) (text, offset) = (text[3..], offset + 3);
            if (text.AsSpan().Trim(" \t\r"u8).IsEmpty) continue;
            Utf8Check.Require(text, $"{path}:{line}", offset);
            yield return Parse(text, path, field, record++, line);
        }
    }

    private static Document Parse(byte[] text, string path, string field, long record, long line)
    {
        try
        {
            using var json = JsonDocument.Parse(text);
            if (json.RootElement.ValueKind != JsonValueKind.Object) throw PerennialException.Damaged($"{path}:{line}: is not a JSON object but {Describe(json.RootElement)}");
            if (!json.RootElement.TryGetProperty(field, out var value))
                throw PerennialException.Damaged($"{path}:{line}: has no field '{field}'; it has {Fields(json.RootElement)} (choose one with 'field')");
            if (value.ValueKind != JsonValueKind.String) throw PerennialException.Damaged($"{path}:{line}: field '{field}' is not text but {Describe(value)}");
            var scores = new Dictionary<string, double>(StringComparer.Ordinal);
            foreach (var property in json.RootElement.EnumerateObject())
            {
                if (property.Value.ValueKind == JsonValueKind.Number && property.Value.TryGetDouble(out var number)) scores[property.Name] = number;
            }
            return new Document(System.Text.Encoding.UTF8.GetBytes(value.GetString()!), new Provenance(path, record, line)) { Scores = scores };
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw PerennialException.Damaged($"{path}:{line}: is not valid JSON: {error.Message.ReplaceLineEndings(" ")} (mend or remove this line)", error);
        }
    }

    private static string Fields(JsonElement record)
    {
        var names = record.EnumerateObject().Select(property => $"'{property.Name}'").ToList();
        return names.Count == 0 ? "none" : string.Join(", ", names);
    }

    private static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => "a list",
        JsonValueKind.Object => "an object",
        JsonValueKind.Number => "a number",
        JsonValueKind.String => "text",
        JsonValueKind.Null => "null",
        _ => "true or false",
    };
}
