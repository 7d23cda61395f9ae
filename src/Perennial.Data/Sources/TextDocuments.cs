using System.Runtime.CompilerServices;

namespace Perennial.Data.Sources;

/// <summary>
/// Documents of a plain text file, read as a stream. Cuts fall only between paragraphs, so that the pieces joined again are
/// the file (but for the blank lines between paragraphs where every paragraph is a document).
/// </summary>
public static class TextDocuments
{
    private const int WholeFileLimit = 64 << 10;

    /// <summary>Reads a text file; pieces that are not UTF-8, or longer than 128 MiB without a cut, are malformed.</summary>
    /// <exception cref="Core.PerennialException">Exit 3: broken compression.</exception>
    public static async IAsyncEnumerable<Document> Read(string path, string name, TextSplit split, Action<MalformedRecord> malformed, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await using var stream = SourceStream.Open(path);
        var buffer = new GrowingBuffer(stream, path);
        while (!buffer.Ended && buffer.Unread.Length <= WholeFileLimit) buffer.Fill(cancellation);
        var cut = split == TextSplit.Auto && buffer.Unread.Length <= WholeFileLimit ? ParagraphCut.WholeFile : ParagraphCut.Of(split);
        if (buffer.Unread.StartsWith("\uFEFF"u8)) buffer.Skip(3);
        var (record, line) = (0L, 1L);
        while (true)
        {
            int length;
            while ((length = cut.Find(buffer.Unread, buffer.Ended)) < 0 && buffer.Unread.Length <= GrowingBuffer.LargestRecord) buffer.Fill(cancellation);
            if (length == 0) break;
            var offset = buffer.Offset;
            if (length < 0 || length > GrowingBuffer.LargestRecord)
            {
                length = length < 0 ? buffer.Unread.Length : length;
                DocumentSource.Refuse(malformed, new MalformedRecord(name, line, offset, length, "too long", $"{name}: at byte {offset}: more than {GrowingBuffer.LargestRecord} bytes without a place to cut; split the text finer (split: auto or paragraph)"));
                line += buffer.Unread[..length].Count((byte)'\n');
                buffer.Skip(length);
                continue;
            }
            var piece = buffer.Take(length);
            var text = split == TextSplit.Paragraph ? TrimNewlines(piece) : piece;
            if (Utf8Check.Problem(piece, name, offset) is { } problem)
                DocumentSource.Refuse(malformed, new MalformedRecord(name, line, offset, length, "not UTF-8", problem));
            else if (!text.Span.Trim(" \t\r\n"u8).IsEmpty)
                yield return new Document(text, new Provenance(name, record++, line) { Offset = offset + (text.Length == piece.Length ? 0 : piece.AsSpan().IndexOfAnyExcept((byte)'\r', (byte)'\n')), Bytes = text.Length });
            line += piece.AsSpan().Count((byte)'\n');
        }
    }

    private static ReadOnlyMemory<byte> TrimNewlines(byte[] piece)
    {
        var first = piece.AsSpan().IndexOfAnyExcept((byte)'\r', (byte)'\n');
        return first < 0 ? default : piece.AsMemory(first, piece.AsSpan().LastIndexOfAnyExcept((byte)'\r', (byte)'\n') + 1 - first);
    }
}
