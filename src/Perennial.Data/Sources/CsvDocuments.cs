using System.Buffers;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Perennial.Data.Sources;

/// <summary>
/// Documents of a table in text form (RFC 4180): a header line, then one record a row; quoted cells may hold separators and line
/// ends. Read by our own scanner, since no library tells the byte range of a record.
/// </summary>
public static class CsvDocuments
{
    /// <summary>Reads a table. Malformed: not UTF-8, another number of cells than the header, a quote that never closes, longer than 128 MiB.</summary>
    /// <exception cref="Core.PerennialException">Exit 3: broken compression, or no such column.</exception>
    public static async IAsyncEnumerable<Document> Read(
        string path, string name, string field, byte separator, Action<MalformedRecord> malformed, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await using var stream = SourceStream.Open(path);
        var buffer = new GrowingBuffer(stream, path);
        buffer.Fill(cancellation);
        if (buffer.Unread.StartsWith("\uFEFF"u8)) buffer.Skip(3);
        string[]? header = null;
        var (column, line, record) = (-1, 1L, 0L);
        while (true)
        {
            int length;
            while ((length = RecordEnd(buffer.Unread, separator, buffer.Ended)) < 0 && buffer.Unread.Length <= GrowingBuffer.LargestRecord && !buffer.Ended) buffer.Fill(cancellation);
            if (buffer.Unread.IsEmpty) yield break;
            var (reason, problem) = ((string?)null, (string?)null);
            if (length < 0)
            {
                // A quote that never closes would swallow the rest: only its line is set aside, and reading goes on behind it.
                length = buffer.Unread.IndexOf((byte)'\n') is >= 0 and var end ? end + 1 : buffer.Unread.Length;
                (reason, problem) = ("a quote that never closes", $"{name}:{line}: a quote is never closed");
            }
            var offset = buffer.Offset;
            var bytes = buffer.Take(length);
            var (firstLine, lines) = (line, bytes.AsSpan().Count((byte)'\n'));
            line += lines;
            var content = bytes.AsMemory(0, bytes.AsSpan().TrimEnd("\r\n"u8).Length);
            if (content.IsEmpty) continue;
            if (problem is null && Utf8Check.Problem(content.Span, $"{name}:{firstLine}", offset) is { } wrong) (reason, problem) = ("not UTF-8", wrong);
            var cells = problem is null ? Cells(content.Span, separator) : [];
            if (problem is null && header is null)
            {
                header = [.. cells.Select(Encoding.UTF8.GetString)];
                column = Array.IndexOf(header, field);
                if (column < 0) throw Core.PerennialException.Damaged($"{name}: cannot be read: it has no column '{field}'; it has {string.Join(", ", header.Select(one => $"'{one}'"))} (choose one with 'field')");
                continue;
            }
            if (problem is null && cells.Count != header!.Length) (reason, problem) = ("another number of cells than the header", $"{name}:{firstLine}: has {cells.Count} cells, the header has {header.Length}");
            if (problem is not null)
            {
                DocumentSource.Refuse(malformed, new MalformedRecord(name, firstLine, offset, length, reason!, problem));
                continue;
            }
            yield return Document(cells, header!, column, new Provenance(name, record++, firstLine) { Offset = offset, Bytes = content.Length });
        }
    }

    private static Document Document(List<byte[]> cells, string[] header, int column, Provenance origin)
    {
        Dictionary<string, double>? scores = null;
        Dictionary<string, string>? fields = null;
        for (var i = 0; i < cells.Count; i++)
        {
            if (i == column || cells[i].Length is 0 or > 2048) continue;
            var value = Encoding.UTF8.GetString(cells[i]);
            if (double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number)) (scores ??= new(StringComparer.Ordinal))[header[i]] = number;
            else (fields ??= new(StringComparer.Ordinal))[header[i]] = value;
        }
        var document = new Document(cells[column], origin);
        if (scores is not null) document = document with { Scores = scores };
        return fields is null ? document : document with { Fields = fields };
    }

    /// <summary>Length of the first record with its line end; −1 when it does not end in sight (or a quote never closes).</summary>
    private static int RecordEnd(ReadOnlySpan<byte> text, byte separator, bool ended)
    {
        var (at, cellStart) = (0, true);
        while (at < text.Length)
        {
            if (cellStart && text[at] == '"')
            {
                for (at++; ; at += 2)
                {
                    var quote = text[at..].IndexOf((byte)'"');
                    if (quote < 0) return -1;
                    at += quote;
                    if (at + 1 == text.Length || text[at + 1] != '"') break;
                }
                // The character behind decides whether the quote was doubled.
                if (++at == text.Length && !ended) return -1;
            }
            var next = text[at..].IndexOfAny(separator, (byte)'\n');
            if (next < 0) return ended ? text.Length : -1;
            at += next + 1;
            if (text[at - 1] == '\n') return at;
            cellStart = true;
        }
        return ended ? text.Length : -1;
    }

    private static List<byte[]> Cells(ReadOnlySpan<byte> record, byte separator)
    {
        var cells = new List<byte[]>();
        for (var at = 0; at <= record.Length;)
        {
            if (at < record.Length && record[at] == '"')
            {
                var cell = new ArrayBufferWriter<byte>();
                for (at++; at < record.Length; at++)
                {
                    var quote = record[at..].IndexOf((byte)'"');
                    if (quote < 0) quote = record.Length - at;
                    cell.Write(record.Slice(at, quote));
                    at += quote + 1;
                    if (at >= record.Length || record[at] != '"') break;
                    cell.Write("\""u8);
                }
                var rest = at < record.Length ? record[at..].IndexOf(separator) : -1;
                if (at < record.Length) cell.Write(rest < 0 ? record[at..] : record.Slice(at, rest));
                cells.Add(cell.WrittenSpan.ToArray());
                at = rest < 0 ? record.Length + 1 : at + rest + 1;
            }
            else
            {
                var end = record[at..].IndexOf(separator);
                cells.Add((end < 0 ? record[at..] : record.Slice(at, end)).ToArray());
                at = end < 0 ? record.Length + 1 : at + end + 1;
            }
        }
        return cells;
    }
}
