using System.Text;
using Perennial.Data.Preparation;
using Perennial.Data.Sources;
using Perennial.Data.Streams;

namespace Perennial.Data.Inspection;

/// <summary>A stretch of a training window that comes from one document.</summary>
/// <param name="WindowToken">Its first token's place in the window.</param>
/// <param name="Tokens">Its tokens.</param>
/// <param name="Origin">The document.</param>
/// <param name="TextOffset">Its first byte's place in the document's text as it was tokenized.</param>
/// <param name="TextBytes">Its bytes.</param>
/// <param name="Text">Its text.</param>
public sealed record TracedStretch(int WindowToken, int Tokens, Provenance Origin, long TextOffset, int TextBytes, string Text)
{
    /// <summary>Its first byte's place in the file's content, when the file holds the document's text as it is; null otherwise.</summary>
    public long? FileOffset { get; init; }

    /// <summary>Whether the file was read at that place and holds exactly these bytes.</summary>
    public bool Verified { get; init; }
}

/// <summary>Leads from a training sample back to files and byte ranges.</summary>
public static class SampleTrace
{
    /// <summary>The stretches of the sample at a position, in order.</summary>
    public static IEnumerable<TracedStretch> Of(PreparedData data, SampleStream stream, long position)
    {
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(stream);
        var (source, window, _) = stream.Locate(position);
        var shard = data.Train[source];
        var (first, last) = (window * stream.Time, window * stream.Time + stream.Time - 1);
        for (var document = shard.DocumentOf(first); document < shard.Documents && shard.DocumentStart(document) <= last; document++)
        {
            var start = shard.DocumentStart(document);
            var ids = shard.Document(document);
            var from = (int)Math.Max(0, first - start);
            var to = (int)Math.Min(ids.Length, last - start + 1);
            if (to <= from) continue;
            var offset = data.Tokenizer.Decode(ids.AsSpan(0, from)).Length;
            var text = data.Tokenizer.Decode(ids.AsSpan(from, to - from));
            var traced = new TracedStretch((int)(start + from - first), to - from, shard.Origin(document), offset, text.Length, Encoding.UTF8.GetString(text));
            yield return Locate(traced, text);
        }
    }

    private static TracedStretch Locate(TracedStretch traced, byte[] text)
    {
        var origin = traced.Origin;
        if (origin.Offset < 0 || !File.Exists(origin.Path)) return traced;
        var place = origin.Offset + traced.TextOffset;
        try
        {
            using var file = SourceStream.Open(origin.Path);
            Skip(file, place);
            var found = new byte[text.Length];
            // Extracted, unescaped or filtered text stands elsewhere in the file, or nowhere: then only the document's range is known.
            if (file.ReadAtLeast(found, found.Length, throwOnEndOfStream: false) != found.Length || !found.AsSpan().SequenceEqual(text)) return traced;
            return traced with { FileOffset = place, Verified = true };
        }
        catch (Core.PerennialException)
        {
            return traced;
        }
    }

    private static void Skip(Stream stream, long bytes)
    {
        if (stream.CanSeek)
        {
            stream.Position = bytes;
            return;
        }
        var buffer = new byte[1 << 16];
        while (bytes > 0)
        {
            var read = stream.Read(buffer.AsSpan(0, (int)Math.Min(bytes, buffer.Length)));
            if (read == 0) return;
            bytes -= read;
        }
    }
}
