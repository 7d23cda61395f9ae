using System.Buffers;

namespace Perennial.Data.Curation;

/// <summary>
/// An operator whose decision about a document depends on all others (deduplication, selection). It works in three steps, each of
/// which can be done again with the same result: a sketch of every document (in parallel), one decision over all sketches, and the
/// decision applied to every document (in parallel).
/// </summary>
public interface ICorpusFilter : IFilter
{
    /// <summary>Writes what the decision needs to know of a document; nothing is fine. Pure and thread-safe.</summary>
    void Sketch(Document document, IBufferWriter<byte> sketch);

    /// <summary>Decides. Decisions must be added in ascending order of keys; documents without one are kept as they are.</summary>
    void Decide(ICorpus corpus, IDecisions decisions);

    /// <summary>Carries out a decision of <see cref="Decide"/>. Pure and thread-safe.</summary>
    FilterResult Apply(Document document, ReadOnlySpan<byte> decision);

    /// <inheritdoc/>
    FilterResult IFilter.Apply(Document document, long index) => throw new InvalidOperationException($"{GetType().Name} decides over a corpus, not over one document");
}

/// <summary>Everything that documents' sketches and texts offer a decision, in bounded memory.</summary>
public interface ICorpus
{
    /// <summary>Documents of the stage.</summary>
    long Documents { get; }

    /// <summary>All sketches in ascending order of keys. The memory of a sketch is valid until the next one is asked for.</summary>
    IEnumerable<(DocumentKey Key, ReadOnlyMemory<byte> Sketch)> Sketches();

    /// <summary>One document. Thread-safe.</summary>
    Document Read(DocumentKey key);

    /// <summary>The source that a document belongs to, by its number in the recipe.</summary>
    int SourceOf(DocumentKey key);

    /// <summary>An empty folder for what does not fit memory; removed afterwards.</summary>
    string Scratch { get; }

    /// <summary>Bytes of memory that the decision may take, roughly.</summary>
    long Memory { get; }

    /// <summary>Asks to stop.</summary>
    CancellationToken Cancellation { get; }

    /// <summary>Says something worth a line in the account (a threshold found, clusters made).</summary>
    void Note(string name, double value);
}

/// <summary>Takes decisions, in ascending order of keys.</summary>
public interface IDecisions
{
    /// <summary>Adds the decision about one document.</summary>
    void Add(DocumentKey key, ReadOnlySpan<byte> decision);
}
