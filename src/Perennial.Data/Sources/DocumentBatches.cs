namespace Perennial.Data.Sources;

/// <summary>Documents in batches for parallel work; the next batch is read while the present one is worked on.</summary>
internal static class DocumentBatches
{
    private const int Documents = 512;
    private const long Bytes = 16 << 20;

    /// <summary>The documents of some files of a source in order, with the number of each batch's first.</summary>
    public static IEnumerable<(long First, IReadOnlyList<Document> Documents)> Read(IReadOnlyList<SourceFile> files, SourceOptions source, Action<MalformedRecord> malformed, CancellationToken cancellation)
    {
        var documents = ReadFiles(files, source, malformed, cancellation).GetAsyncEnumerator(cancellation);
        var reading = Task.Run(() => Next(documents), CancellationToken.None);
        var first = 0L;
        try
        {
            while (true)
            {
                var batch = reading.GetAwaiter().GetResult();
                if (batch.Count == 0) yield break;
                reading = Task.Run(() => Next(documents), CancellationToken.None);
                yield return (first, batch);
                first += batch.Count;
            }
        }
        finally
        {
            // An enumerator may be closed only when nothing reads from it any more; what that reading threw has no reader either.
            reading.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default).Wait(CancellationToken.None);
            documents.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    private static async IAsyncEnumerable<Document> ReadFiles(IReadOnlyList<SourceFile> files, SourceOptions source, Action<MalformedRecord> malformed, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        foreach (var file in files)
        {
            await foreach (var document in DocumentSource.ReadFile(file.Path, file.Name, source, malformed, cancellation).ConfigureAwait(false)) yield return document;
        }
    }

    private static async Task<List<Document>> Next(IAsyncEnumerator<Document> documents)
    {
        var batch = new List<Document>(Documents);
        var bytes = 0L;
        while (batch.Count < Documents && bytes < Bytes && await documents.MoveNextAsync().ConfigureAwait(false))
        {
            batch.Add(documents.Current);
            bytes += documents.Current.Text.Length;
        }
        return batch;
    }
}
