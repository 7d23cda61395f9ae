using System.Runtime.CompilerServices;

namespace Perennial.Data.Sources;

/// <summary>Documents of a plain text file. Cuts fall only between paragraphs, so that the pieces joined again are the file.</summary>
public static class TextDocuments
{
    private const int WholeFileLimit = 64 << 10;
    private const int PassageBytes = 8 << 10;

    /// <summary>Reads a text file.</summary>
    public static async IAsyncEnumerable<Document> Read(string path, TextSplit split, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        byte[] bytes;
        await using (var stream = SourceStream.Open(path))
        {
            using var memory = new MemoryStream();
            await stream.CopyToAsync(memory, cancellation).ConfigureAwait(false);
            bytes = memory.ToArray();
        }
        Utf8Check.Require(bytes, path, 0);
        var start = bytes.AsSpan().StartsWith("\uFEFF"u8) ? 3 : 0;
        var whole = split == TextSplit.File || (split == TextSplit.Auto && bytes.Length <= WholeFileLimit);
        var smallest = whole ? int.MaxValue : split == TextSplit.Paragraph ? 1 : PassageBytes;
        var (record, line) = (0L, 1L);
        while (start < bytes.Length)
        {
            var end = PassageEnd(bytes, start, smallest);
            ReadOnlyMemory<byte> piece = bytes.AsMemory(start, end - start);
            if (split == TextSplit.Paragraph) piece = TrimNewlines(piece);
            if (!IsBlank(piece.Span)) yield return new Document(piece, new Provenance(path, record++, line));
            line += bytes.AsSpan(start, end - start).Count((byte)'\n');
            start = end;
        }
    }

    /// <summary>The first paragraph boundary (the byte after a blank line) at which the piece is at least the given size.</summary>
    private static int PassageEnd(byte[] bytes, int start, int smallest)
    {
        if (bytes.Length - start <= smallest) return bytes.Length;
        var position = start + smallest - 1;
        while (true)
        {
            var found = bytes.AsSpan(position).IndexOf("\n\n"u8);
            var foundWindows = bytes.AsSpan(position).IndexOf("\n\r\n"u8);
            if (found < 0 && foundWindows < 0) return bytes.Length;
            position += found < 0 || (foundWindows >= 0 && foundWindows < found) ? foundWindows + 3 : found + 2;
            while (position < bytes.Length && bytes[position] is (byte)'\n' or (byte)'\r') position++;
            if (position - start >= smallest) return position;
        }
    }

    private static ReadOnlyMemory<byte> TrimNewlines(ReadOnlyMemory<byte> piece)
    {
        var span = piece.Span.Trim("\r\n"u8);
        return span.IsEmpty ? ReadOnlyMemory<byte>.Empty : piece.Slice(piece.Span.IndexOf(span), span.Length);
    }

    private static bool IsBlank(ReadOnlySpan<byte> piece) => piece.Trim(" \t\r\n"u8).IsEmpty;
}
