using Perennial.Core;

namespace Perennial.Data;

/// <summary>What a filter decided about a document.</summary>
/// <param name="Document">The document that goes on (perhaps changed), or null when it is rejected.</param>
/// <param name="Reason">Why it was rejected; null when it goes on.</param>
public readonly record struct FilterResult(Document? Document, string? Reason)
{
    /// <summary>What is particular to this document, such as which document it repeats; reasons are counted, details are not.</summary>
    public string? Detail { get; init; }

    /// <summary>What else was counted, such as masked addresses by kind; null when nothing was.</summary>
    public IReadOnlyList<KeyValuePair<string, long>>? Counts { get; init; }

    /// <summary>The document goes on.</summary>
    public static FilterResult Keep(Document document) => new(document, null);

    /// <summary>The document is left out, for a stated reason.</summary>
    public static FilterResult Reject(string reason) => new(null, reason);

    /// <summary>The document is left out; the reason is a class, the detail is about this document.</summary>
    public static FilterResult Reject(string reason, string detail) => new(null, reason) { Detail = detail };
}

/// <summary>
/// One operator of <c>data.pipeline</c>: sees one document, keeps, changes or rejects it. Must be a pure function of the
/// document, its index and its own options, so that results do not depend on parallelism.
/// </summary>
[ComponentRole("filter")]
public interface IFilter
{
    /// <summary>Decides about one document.</summary>
    /// <param name="document">The document.</param>
    /// <param name="index">Its number in its source, counted before filtering: grows in reading order, with gaps between parts of the source.</param>
    FilterResult Apply(Document document, long index);

    /// <summary>Whether held-out documents go through it too. A filter that damages text on purpose says no.</summary>
    bool AppliesToHeldOut => true;

    /// <summary>Sees every training document of its source once, in order and as the filters before left it; for filters that need corpus statistics.</summary>
    void Learn(Document document, long index) { }

    /// <summary>Whether <see cref="Learn"/> wants that pass.</summary>
    bool Learns => false;
}

/// <summary>What an order knows of one source.</summary>
/// <param name="Seed">The run's seed.</param>
/// <param name="Source">Number of the source in the recipe.</param>
/// <param name="Windows">Windows of the source.</param>
/// <param name="Scores">Per-window mean of a named document score, <c>[windows]</c>; throws exit 2 when no filter gave that score.</param>
public sealed record OrderContext(ulong Seed, int Source, long Windows, Func<string, IReadOnlyList<double>> Scores);

/// <summary>
/// In which order the windows of a source are seen. Constructor services: its options and an <see cref="OrderContext"/>.
/// Must be an injection of positions to windows for every epoch (a bijection unless it says <see cref="Length"/>), computable at any position without history.
/// </summary>
[ComponentRole("order")]
public interface ISampleOrder
{
    /// <summary>The window seen at a position of an epoch; both zero-based.</summary>
    long Window(long epoch, long position);

    /// <summary>The windows seen at consecutive positions of an epoch: what <see cref="Window"/> says of each, for orders that are faster in a row.</summary>
    /// <param name="epoch">The epoch.</param>
    /// <param name="position">The first position.</param>
    /// <param name="windows">Receives the windows.</param>
    void Windows(long epoch, long position, Span<long> windows)
    {
        for (var i = 0; i < windows.Length; i++) windows[i] = Window(epoch, position + i);
    }

    /// <summary>Windows of an epoch: all of them, or fewer where the order reads a part of the source.</summary>
    /// <param name="windows">Windows of the source.</param>
    long Length(long windows) => windows;
}

/// <summary>Turns text into token ids and back. Thread-safe.</summary>
public interface ITokenizer
{
    /// <summary>Number of ids.</summary>
    int VocabularySize { get; }

    /// <summary>The id written between documents.</summary>
    int EndOfText { get; }

    /// <summary>Content hash (hex): equal fingerprints encode alike.</summary>
    string Fingerprint { get; }

    /// <summary>Appends the ids of UTF-8 text (arbitrary bytes allowed; they round-trip exactly).</summary>
    void Encode(ReadOnlySpan<byte> text, List<int> ids);

    /// <summary>The bytes of ids; <see cref="EndOfText"/> decodes to nothing.</summary>
    byte[] Decode(ReadOnlySpan<int> ids);

    /// <summary>Writes <c>tokenizer.json</c> (Hugging Face format) into a folder.</summary>
    void Save(string folder);
}

/// <summary>A batch of token windows, made by a pure function of (seed, first sample position).</summary>
/// <param name="Rows">Number of windows.</param>
/// <param name="Time">Tokens a window.</param>
public sealed record TokenBatch(int Rows, int Time)
{
    /// <summary>Target value that takes no part in the loss.</summary>
    public const int Ignored = -100;

    /// <summary>Input ids, <c>[rows, time]</c> row-major.</summary>
    public required long[] Inputs { get; init; }

    /// <summary>Next-token ids, <c>[rows, time]</c>; <see cref="Ignored"/> where the loss must not look.</summary>
    public required long[] Targets { get; init; }

    /// <summary>Number of the document each input token belongs to within its row, <c>[rows, time]</c>, from 0; null when attention may cross documents.</summary>
    public int[]? Segments { get; init; }

    /// <summary>Global identity of each row: <c>source index &lt;&lt; 48 | window index</c>.</summary>
    public required long[] SampleIds { get; init; }
}

/// <summary>
/// The training stream. Position p (counted in samples from the start of the run) always yields the same sample for the
/// same (data, seed): resuming is seeking, in O(1).
/// </summary>
public interface ISampleStream
{
    /// <summary>Tokens a window.</summary>
    int Time { get; }

    /// <summary>Reads the samples at positions <paramref name="first"/> … <paramref name="first"/> + rows − 1.</summary>
    TokenBatch Read(long first, int rows);

    /// <summary>Samples after which every source with weight has been seen at least once in full, at the mixture's first weights.</summary>
    long SamplesPerEpoch { get; }

    /// <summary>Hash (hex) of everything the stream depends on: shards, weights, order, seed.</summary>
    string Fingerprint { get; }
}
