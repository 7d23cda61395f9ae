namespace Perennial.Data.Sources;

/// <summary>Documents in batches for parallel work; the next batch is read while the present one is worked on.</summary>
internal static class DocumentBatches
{
    private const int Documents = 512;
    private const long Bytes = 16 << 20;

    /// <summary>The documents of a source in order, with the number of each batch's first.</summary>
    public static IEnumerable<(long First, IReadOnlyList<Document> Documents)> Read(SourceOptions source, CancellationToken cancellation)
    {
        var documents = DocumentSource.Read(source, cancellation).GetAsyncEnumerator(cancellation);
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
