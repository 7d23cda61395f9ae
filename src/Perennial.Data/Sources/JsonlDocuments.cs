using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Sources;

/// <summary>Documents of a JSON-lines file: one object a line, the text in one field. Numeric fields become scores.</summary>
public static class JsonlDocuments
{
    /// <summary>Reads a JSON-lines file; blank lines are passed over.</summary>
    public static async IAsyncEnumerable<Document> Read(string path, string field, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await using var stream = SourceStream.Open(path);
        using var reader = new StreamReader(stream, new UTF8Encoding(false, throwOnInvalidBytes: true), detectEncodingFromByteOrderMarks: true, 1 << 16);
        var (record, line) = (0L, 0L);
        while (true)
        {
            string? text;
            line++;
            try
            {
                text = await reader.ReadLineAsync(cancellation).ConfigureAwait(false);
            }
            catch (DecoderFallbackException error)
            {
                throw PerennialException.Damaged($"{path}:{line}: not UTF-8 at or after this line; convert the file to UTF-8 first", error);
            }
            if (text is null) yield break;
            if (string.IsNullOrWhiteSpace(text)) continue;
            yield return Parse(text, path, field, record++, line);
        }
    }

    private static Document Parse(string text, string path, string field, long record, long line)
    {
        try
        {
            using var json = JsonDocument.Parse(text);
            if (json.RootElement.ValueKind != JsonValueKind.Object) throw PerennialException.Damaged($"{path}:{line}: is not a JSON object but {json.RootElement.ValueKind}");
            if (!json.RootElement.TryGetProperty(field, out var value))
                throw PerennialException.Damaged($"{path}:{line}: has no field '{field}'; it has {string.Join(", ", json.RootElement.EnumerateObject().Select(property => property.Name))}");
            if (value.ValueKind != JsonValueKind.String) throw PerennialException.Damaged($"{path}:{line}: field '{field}' is not text but {value.ValueKind}");
            var scores = json.RootElement.EnumerateObject().Where(property => property.Value.ValueKind == JsonValueKind.Number)
                .GroupBy(property => property.Name).ToDictionary(group => group.Key, group => group.Last().Value.GetDouble(), StringComparer.Ordinal);
            return new Document(Encoding.UTF8.GetBytes(value.GetString()!), new Provenance(path, record, line)) { Scores = scores };
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            throw PerennialException.Damaged($"{path}:{line}: is not valid JSON: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }
}
