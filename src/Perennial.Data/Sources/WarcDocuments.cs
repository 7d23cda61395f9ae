using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Perennial.Data.Sources;

/// <summary>
/// Documents of web archives (ISO 28500): text of <c>conversion</c> records (WET), and of <c>response</c> and <c>resource</c>
/// records that hold HTML (through <see cref="HtmlText"/>) or plain text. Read by our own scanner for the byte range of each record.
/// </summary>
public static class WarcDocuments
{
    private const int LongestHeader = 64 << 10;
    private const int LargestPage = 16 << 20;

    /// <summary>Reads an archive. Malformed: a broken header, a length that does not hold, a payload that is no text; reading goes on at the next record.</summary>
    /// <exception cref="Core.PerennialException">Exit 3: broken compression.</exception>
    public static async IAsyncEnumerable<Document> Read(string path, string name, Action<MalformedRecord> malformed, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await using var stream = SourceStream.Open(path);
        var buffer = new GrowingBuffer(stream, path);
        var (record, number) = (0L, 0L);
        while (true)
        {
            while (buffer.Unread.Length < 4 && !buffer.Ended) buffer.Fill(cancellation);
            var blank = buffer.Unread.IndexOfAnyExcept((byte)'\r', (byte)'\n');
            if (blank != 0)
            {
                buffer.Skip(blank < 0 ? buffer.Unread.Length : blank);
                if (buffer.Ended && buffer.Unread.IsEmpty) yield break;
                continue;
            }
            number++;
            var offset = buffer.Offset;
            int end;
            while ((end = HeaderEnd(buffer.Unread)) < 0 && buffer.Unread.Length <= LongestHeader && !buffer.Ended) buffer.Fill(cancellation);
            var header = end < 0 || !buffer.Unread.StartsWith("WARC/"u8) ? null : Header(buffer.Unread[..end]);
            if (header is null || !long.TryParse(header.GetValueOrDefault("content-length"), NumberStyles.None, CultureInfo.InvariantCulture, out var length))
            {
                NextRecord(buffer, cancellation);
                DocumentSource.Refuse(malformed, new MalformedRecord(name, number, offset, buffer.Offset - offset, "broken record header", $"{name}: record {number} at byte {offset} has no readable header; passed over to the next record"));
                continue;
            }
            buffer.Skip(end);
            var body = Body(buffer, length, cancellation);
            var (text, reason) = body is null ? (null, length > GrowingBuffer.LargestRecord ? "too long" : "truncated record") : Text(header, body);
            if (reason is not null)
            {
                DocumentSource.Refuse(malformed, new MalformedRecord(name, number, offset, buffer.Offset - offset, reason, $"{name}: record {number} at byte {offset} of {length} bytes: {reason}"));
                continue;
            }
            if (text is null) continue;
            yield return new Document(text, new Provenance(name, record++, number) { Offset = offset, Bytes = buffer.Offset - offset }) { Fields = Fields(header) };
        }
    }

    private static int HeaderEnd(ReadOnlySpan<byte> text)
    {
        var strict = text.IndexOf("\r\n\r\n"u8);
        var loose = text.IndexOf("\n\n"u8);
        return strict >= 0 && (loose < 0 || strict < loose) ? strict + 4 : loose >= 0 ? loose + 2 : -1;
    }

    private static Dictionary<string, string>? Header(ReadOnlySpan<byte> bytes)
    {
        if (System.Text.Unicode.Utf8.IsValid(bytes) is false) return null;
        var header = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var line in Encoding.UTF8.GetString(bytes).Split('\n').Skip(1))
        {
            if (line.IndexOf(':') is > 0 and var colon) header[line[..colon].Trim()] = line[(colon + 1)..].Trim();
        }
        return header;
    }

    private static byte[]? Body(GrowingBuffer buffer, long length, CancellationToken cancellation)
    {
        if (length <= GrowingBuffer.LargestRecord)
        {
            while (buffer.Unread.Length < length && !buffer.Ended) buffer.Fill(cancellation);
            if (buffer.Unread.Length >= length) return buffer.Take((int)length);
        }
        // Too long or cut off: what there is of it is passed over, a piece at a time.
        while (length > 0 && !(buffer.Ended && buffer.Unread.IsEmpty))
        {
            var piece = (int)Math.Min(length, buffer.Unread.Length);
            buffer.Skip(piece);
            length -= piece;
            if (length > 0) buffer.Fill(cancellation);
        }
        return null;
    }

    private static void NextRecord(GrowingBuffer buffer, CancellationToken cancellation)
    {
        while (true)
        {
            var found = buffer.Unread.Length > 1 ? buffer.Unread[1..].IndexOf("\nWARC/"u8) : -1;
            if (found >= 0)
            {
                buffer.Skip(found + 2);
                return;
            }
            // The mark may lie across what comes next.
            buffer.Skip(buffer.Ended ? buffer.Unread.Length : Math.Max(0, buffer.Unread.Length - 8));
            if (buffer.Ended) return;
            buffer.Fill(cancellation);
        }
    }

    private static (byte[]? Text, string? Reason) Text(Dictionary<string, string> header, byte[] body)
    {
        var type = header.GetValueOrDefault("WARC-Type", "").ToLowerInvariant();
        if (type == "conversion") return System.Text.Unicode.Utf8.IsValid(body) ? (body, null) : (null, "not UTF-8");
        if (type is not ("response" or "resource")) return (null, null);
        var content = header.GetValueOrDefault("Content-Type", "");
        var payload = body.AsMemory();
        if (type == "response")
        {
            if (!body.AsSpan().StartsWith("HTTP/"u8)) return (null, null);
            if (HeaderEnd(body) is not (> 0 and var end)) return (null, "broken HTTP header");
            var status = Encoding.Latin1.GetString(body.AsSpan(0, Math.Min(end, 64))).Split(' ');
            if (status.Length < 2 || !status[1].StartsWith('2')) return (null, null);
            var http = Header(Encoding.UTF8.GetBytes(Encoding.Latin1.GetString(body.AsSpan(0, end)))) ?? [];
            if (http.GetValueOrDefault("Content-Encoding", "identity") is not ("identity" or "")) return (null, "compressed payload");
            (content, payload) = (http.GetValueOrDefault("Content-Type", ""), payload[end..]);
        }
        var html = content.Contains("html", StringComparison.OrdinalIgnoreCase);
        if (!html && !content.StartsWith("text/plain", StringComparison.OrdinalIgnoreCase)) return (null, null);
        if (payload.Length > LargestPage) return (null, "page too long");
        var text = HtmlText.Decode(payload.Span, content);
        return (Encoding.UTF8.GetBytes(html ? HtmlText.Extract(text) : text), null);
    }

    private static Dictionary<string, string> Fields(Dictionary<string, string> header)
    {
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        if (header.TryGetValue("WARC-Target-URI", out var url)) fields["url"] = url.Trim('<', '>');
        if (header.TryGetValue("WARC-Date", out var date)) fields["date"] = date;
        if (header.TryGetValue("WARC-Record-ID", out var id)) fields["id"] = id.Trim('<', '>');
        return fields;
    }
}
