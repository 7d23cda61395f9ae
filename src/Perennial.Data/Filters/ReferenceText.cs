using Perennial.Data.Sources;

namespace Perennial.Data.Filters;

/// <summary>Reads the text that an operator is trained on or compared with, up to a number of bytes.</summary>
internal static class ReferenceText
{
    /// <summary>The documents of files, folders or globs; paragraphs of plain text, records of other formats.</summary>
    public static IEnumerable<Document> Read(IEnumerable<string> paths, string field = "text", long bytes = long.MaxValue)
    {
        foreach (var path in paths)
        {
            // Word lists and models aside, what trains an operator is text as any other source.
            var documents = DocumentSource.Read(new SourceOptions { Path = path, Field = field, Split = TextSplit.Paragraph }).GetAsyncEnumerator();
            try
            {
                while (bytes > 0 && documents.MoveNextAsync().AsTask().GetAwaiter().GetResult())
                {
                    bytes -= documents.Current.Text.Length;
                    yield return documents.Current;
                }
            }
            finally
            {
                documents.DisposeAsync().AsTask().GetAwaiter().GetResult();
            }
        }
    }
}
