using System.Runtime.CompilerServices;
using Perennial.Core;

namespace Perennial.Data.Sources;

/// <summary>The documents of a source, file after file, as an asynchronous stream with provenance.</summary>
public static class DocumentSource
{
    /// <summary>Reads every document of a source and tolerates no malformed record. Empty documents are left out.</summary>
    /// <exception cref="PerennialException">Exit 2: nothing to read. Exit 3: damaged content, with file and line.</exception>
    public static async IAsyncEnumerable<Document> Read(SourceOptions source, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        foreach (var path in SourceFiles.Find(source.Path))
        {
            await foreach (var document in ReadFile(path, path, source, malformed => throw malformed.ToException(), cancellation).ConfigureAwait(false)) yield return document;
        }
    }

    /// <summary>Reads one file. What cannot be read goes to <paramref name="malformed"/>; after broken compression or a broken table the rest of the file is one such record.</summary>
    /// <param name="path">The file on this machine.</param>
    /// <param name="name">What provenance calls it (differs from <paramref name="path"/> when it was fetched).</param>
    /// <param name="source">The recipe's source: field and split.</param>
    /// <param name="malformed">Takes malformed records, in order.</param>
    /// <param name="cancellation">Stops between documents.</param>
    /// <exception cref="PerennialException">Exit 2: the file cannot be opened.</exception>
    public static async IAsyncEnumerable<Document> ReadFile(
        string path, string name, SourceOptions source, Action<MalformedRecord> malformed, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(malformed);
        var format = SourceFiles.FormatOf(path);
        await using var documents = (format switch
        {
            ".txt" => TextDocuments.Read(path, name, source.Split, malformed, cancellation),
            ".jsonl" => JsonlDocuments.Read(path, name, source.Field, malformed, cancellation),
            ".csv" or ".tsv" => CsvDocuments.Read(path, name, source.Field, format == ".csv" ? (byte)',' : (byte)'\t', malformed, cancellation),
            ".html" or ".htm" => HtmlDocuments.Read(path, name, malformed, cancellation),
            ".warc" or ".wet" => WarcDocuments.Read(path, name, malformed, cancellation),
            _ => ParquetDocuments.Read(path, name, source.Field, malformed, cancellation),
        }).GetAsyncEnumerator(cancellation);
        while (true)
        {
            try
            {
                if (!await documents.MoveNextAsync().ConfigureAwait(false)) yield break;
            }
            catch (PerennialException error) when (error.Code == ExitCode.Damaged && error.Data["malformed"] is null)
            {
                // Broken compression or a broken table: nothing behind it can be trusted.
                Refuse(malformed, new MalformedRecord(name, 0, -1, -1, BrokenContainer(error.Message), error.Message) { EndsFile = true });
                yield break;
            }
            cancellation.ThrowIfCancellationRequested();
            if (documents.Current.Text.Length > 0) yield return documents.Current;
        }
    }

    /// <summary>Passes a malformed record on; a sink that throws is not mistaken for a reader that does.</summary>
    internal static void Refuse(Action<MalformedRecord> malformed, MalformedRecord record)
    {
        try
        {
            malformed(record);
        }
        catch (PerennialException error)
        {
            error.Data["malformed"] = true;
            throw;
        }
    }

    private static string BrokenContainer(string message) => message.Contains("parquet", StringComparison.Ordinal) ? "broken parquet file"
        : message.Contains("broken ", StringComparison.Ordinal) && message.Contains(" data", StringComparison.Ordinal) ? "broken compression, rest of the file"
        : "cannot be read";
}
