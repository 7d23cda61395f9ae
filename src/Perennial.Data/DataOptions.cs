using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Data.Injection;
using Perennial.Data.Mixtures;

namespace Perennial.Data;

/// <summary>The recipe's <c>data:</c>: where text comes from and how it becomes samples.</summary>
public sealed record DataOptions : IValidatedOptions
{
    /// <summary>Where text comes from; several sources mix by weight.</summary>
    [MinLength(1)]
    public required IReadOnlyList<SourceOptions> Sources { get; init; }

    /// <summary>How text becomes tokens.</summary>
    public TokenizerOptions Tokenizer { get; init; } = new();

    /// <summary>Fraction of documents kept apart for evaluation, chosen by a hash of each document's text (so duplicates never straddle).</summary>
    [Range(0.0, 0.9)]
    public double Holdout { get; init; } = 0.05;

    /// <summary>Key of the held-out choice. Apart from the run's seed, so that runs with other seeds are measured on the same text.</summary>
    public ulong SplitSeed { get; init; }

    /// <summary>Filters every document goes through, in order.</summary>
    public IReadOnlyList<ComponentSpec<IFilter>> Pipeline { get; init; } = [];

    /// <summary>Filters that held-out documents go through instead of <see cref="Pipeline"/>; an empty list leaves them as they are. Without it they go through the pipeline as training documents do. Arms of an experiment that clean differently are measured on the same text with it.</summary>
    public IReadOnlyList<ComponentSpec<IFilter>>? HeldOutPipeline { get; init; }

    /// <summary>The order in which windows are seen.</summary>
    public ComponentSpec<ISampleOrder> Order { get; init; } = new("shuffled", typeof(Orders.ShuffledOrder), null);

    /// <summary>The shares of the sources along the run.</summary>
    public ComponentSpec<IMixture> Mixture { get; init; } = new("weighted", typeof(WeightedMixture), null);

    /// <summary>
    /// Share of each source's held-out documents that only an online mixture looks at: reports leave them out, so that what steers the run is not
    /// what it is judged by. With 0 an online mixture looks at the text that is reported, and says so.
    /// </summary>
    [Range(0.0, 0.9)]
    public double Probe { get; init; }

    /// <summary>Tokens of each source's held-out text that an online mixture measures, at most: what one measurement costs (ignored by other mixtures).</summary>
    [Range(1, 1_000_000_000)]
    public Count ProbeTokens { get; init; } = 16_384;

    /// <summary>Whether a window may run across documents: <c>crossing</c>, or <c>separate</c> (loss and attention stay inside documents).</summary>
    public DocumentBoundary Documents { get; init; } = DocumentBoundary.Crossing;

    /// <summary>How documents become windows: <c>chunk</c> (joined and cut), or <c>best-fit</c> (whole documents, padded).</summary>
    public PackingKind Packing { get; init; } = PackingKind.Chunk;

    /// <summary>
    /// A text, such as <c>Answer:</c>: only what stands behind its last occurrence in a document is learned, and measured by mixtures and the task
    /// <c>answers</c>. Documents without it are not learned from. Null: everything is.
    /// </summary>
    public string? Answers { get; init; }

    /// <summary>Named experiments whose texts are planted into the stream, over what stood there.</summary>
    public IReadOnlyList<InjectionOptions> Injections { get; init; } = [];

    /// <summary>Folder for prepared token shards, reused by content; by default the user's cache folder.</summary>
    public string? Cache { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Answers is { Length: 0 }) yield return ("answers", "must be a text, or be left out");
        if (Sources.Sum(source => source.Weight) <= 0) yield return ("sources", "need at least one weight above 0");
    }
}

/// <summary>What happens where one document ends and the next begins inside a window.</summary>
public enum DocumentBoundary
{
    /// <summary>Documents are joined by the end-of-text token; attention and loss run across.</summary>
    Crossing,

    /// <summary>Attention stays inside a document, and a document's first token is not a target.</summary>
    Separate,
}

/// <summary>How documents become windows.</summary>
public enum PackingKind
{
    /// <summary>Documents are joined and cut at every window's length: no padding, but documents are cut where a window ends.</summary>
    Chunk,

    /// <summary>Only documents longer than a window are cut; the rest go whole into the window with the least room that holds them.</summary>
    BestFit,
}

/// <summary>One source of documents.</summary>
public sealed record SourceOptions : IValidatedOptions
{
    /// <summary>A file, a folder (searched through) or a glob (<c>texts/**/*.jsonl.zst</c>), relative to the working folder. An http(s):// or s3:// address is fetched into the cache first. Endings: .txt, .jsonl, .csv, .tsv, .parquet, .html, .warc, .wet, each also .gz, .zst or .xz.</summary>
    public required string Path { get; init; }

    /// <summary>Share of the samples, relative to the other sources.</summary>
    [Range(0.0, double.MaxValue)]
    public double Weight { get; init; } = 1;

    /// <summary>The field or column that holds the text (.jsonl, .csv, .tsv and .parquet; ignored for others).</summary>
    public string Field { get; init; } = "text";

    /// <summary>How a .txt file is cut into documents (ignored for other formats).</summary>
    public TextSplit Split { get; init; } = TextSplit.Auto;

    /// <summary>Share of malformed records (or of damaged files) from which on the source counts as damaged, exit 3; below it they are set aside, counted and named. 0: the first one ends the preparation.</summary>
    [Range(0.0, 1.0)]
    public double Malformed { get; init; } = 0.5;

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (string.IsNullOrWhiteSpace(Path)) yield return ("path", "must name a file, a folder or a glob");
    }
}

/// <summary>How a plain text file becomes documents.</summary>
public enum TextSplit
{
    /// <summary>A file above 64 KiB is cut into passages of whole paragraphs, about 8 KiB each; a smaller one is one document.</summary>
    Auto,

    /// <summary>One file, one document.</summary>
    File,

    /// <summary>Every paragraph (text between blank lines) is a document.</summary>
    Paragraph,

    /// <summary>A document begins at every heading (a short paragraph such as <c>CHAPTER IV</c>).</summary>
    Chapter,
}

/// <summary>Which tokenizer.</summary>
public sealed record TokenizerOptions : IValidatedOptions
{
    /// <summary>Trained here, built in, or from a file.</summary>
    public TokenizerKind Kind { get; init; } = TokenizerKind.Bpe;

    /// <summary>Number of ids of a trained tokenizer (ignored otherwise).</summary>
    [Range(257, 1_000_000)]
    public int Vocabulary { get; init; } = 4096;

    /// <summary>A <c>tokenizer.json</c> or a folder that holds one (<c>kind: file</c>; ignored otherwise).</summary>
    public string? Path { get; init; }

    /// <inheritdoc/>
    public IEnumerable<(string Key, string Problem)> Problems()
    {
        if (Kind == TokenizerKind.File && string.IsNullOrWhiteSpace(Path)) yield return ("path", "is needed with kind: file");
    }
}

/// <summary>Where a tokenizer comes from.</summary>
public enum TokenizerKind
{
    /// <summary>Byte-level BPE trained on the training documents.</summary>
    Bpe,

    /// <summary>OpenAI's o200k vocabulary.</summary>
    O200k,

    /// <summary>OpenAI's cl100k vocabulary.</summary>
    Cl100k,

    /// <summary>A Hugging Face <c>tokenizer.json</c> of byte-level BPE kind.</summary>
    File,
}
