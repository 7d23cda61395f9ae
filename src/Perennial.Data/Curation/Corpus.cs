namespace Perennial.Data.Curation;

/// <summary>A stage's documents and sketches, for one decision.</summary>
internal sealed class Corpus(IReadOnlyList<SourcePart> parts, StageFiles files, int segment, string scratch, long memory, CancellationToken cancellation) : ICorpus, IDisposable
{
    private const int OpenFiles = 256;
    private readonly Dictionary<int, DocumentFile> open = [];
    private readonly Queue<int> order = new();

    public SortedDictionary<string, double> Notes { get; } = new(StringComparer.Ordinal);

    public long Documents { get; init; }

    public string Scratch => scratch;

    public long Memory => memory;

    public CancellationToken Cancellation => cancellation;

    public void Note(string name, double value) => Notes[name] = value;

    public IEnumerable<(DocumentKey Key, ReadOnlyMemory<byte> Sketch)> Sketches()
    {
        foreach (var part in parts)
        {
            cancellation.ThrowIfCancellationRequested();
            foreach (var (number, bytes) in RecordFile.Read(files.Sketches(segment, part.Number))) yield return (new DocumentKey(part.Number, number), bytes);
        }
    }

    public Document Read(DocumentKey key)
    {
        lock (open)
        {
            if (!open.TryGetValue(key.Part, out var file))
            {
                // Few parts are large, many are small: only so many stay open. A file is closed under the lock that reads hold.
                if (order.Count == OpenFiles && open.Remove(order.Dequeue(), out var old)) old.Dispose();
                open[key.Part] = file = new DocumentFile(files.Documents(segment, key.Part));
                order.Enqueue(key.Part);
            }
            return file.Read(key.Number).Document;
        }
    }

    public int SourceOf(DocumentKey key) => parts[key.Part].Source;

    public void Dispose()
    {
        foreach (var file in open.Values) file.Dispose();
    }
}

/// <summary>Writes decisions, a file for every part.</summary>
internal sealed class DecisionWriter(StageFiles files, int segment, int parts) : IDecisions, IDisposable
{
    private FileStream? stream;
    private int part = -1;
    private DocumentKey last;
    private bool any;

    public void Add(DocumentKey key, ReadOnlySpan<byte> decision)
    {
        if (any && key <= last) throw new InvalidOperationException("decisions must be added in ascending order of keys, one for a document");
        (last, any) = (key, true);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(key.Part, parts);
        Advance(key.Part);
        RecordFile.Write(stream!, key.Number, decision);
    }

    /// <summary>Makes the files of the parts that no decision fell on.</summary>
    public void Complete()
    {
        Advance(parts);
    }

    public void Dispose() => stream?.Dispose();

    private void Advance(int to)
    {
        while (part < to)
        {
            stream?.Dispose();
            stream = null;
            if (++part < parts) stream = new FileStream(files.Decisions(segment, part), FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16);
        }
    }
}
