using System.Runtime.CompilerServices;

namespace Perennial.Data.Sources;

/// <summary>The documents of a source, file after file, as an asynchronous stream with provenance.</summary>
public static class DocumentSource
{
    /// <summary>Reads every document of a source. Empty documents are left out.</summary>
    /// <exception cref="Core.PerennialException">Exit 2: nothing to read. Exit 3: damaged content, with file and line.</exception>
    public static async IAsyncEnumerable<Document> Read(SourceOptions source, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        foreach (var path in SourceFiles.Find(source.Path))
        {
            var documents = SourceFiles.FormatOf(path) switch
            {
                ".txt" => TextDocuments.Read(path, source.Split, cancellation),
                ".jsonl" => JsonlDocuments.Read(path, source.Field, cancellation),
                _ => ParquetDocuments.Read(path, source.Field, cancellation),
            };
            await foreach (var document in documents.ConfigureAwait(false))
            {
                cancellation.ThrowIfCancellationRequested();
                if (document.Text.Length > 0) yield return document;
            }
        }
    }
}
