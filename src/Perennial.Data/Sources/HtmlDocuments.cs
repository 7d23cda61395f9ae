using System.Runtime.CompilerServices;
using System.Text;

namespace Perennial.Data.Sources;

/// <summary>An HTML file as one document: the text of its main content.</summary>
public static class HtmlDocuments
{
    private const int LargestPage = 16 << 20;

    /// <summary>Reads a page; one longer than 16 MiB is malformed.</summary>
    /// <exception cref="Core.PerennialException">Exit 3: broken compression.</exception>
    public static async IAsyncEnumerable<Document> Read(string path, string name, Action<MalformedRecord> malformed, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        await using var stream = SourceStream.Open(path);
        var buffer = new GrowingBuffer(stream, path);
        while (!buffer.Ended && buffer.Unread.Length <= LargestPage) buffer.Fill(cancellation);
        if (!buffer.Ended)
        {
            DocumentSource.Refuse(malformed, new MalformedRecord(name, 1, 0, -1, "page too long", $"{name}: an HTML page of more than {LargestPage} bytes") { EndsFile = true });
            yield break;
        }
        var length = buffer.Unread.Length;
        var text = Encoding.UTF8.GetBytes(HtmlText.Extract(HtmlText.Decode(buffer.Unread, "")));
        if (text.Length > 0) yield return new Document(text, new Provenance(name, 0, 1) { Offset = 0, Bytes = length });
    }
}
