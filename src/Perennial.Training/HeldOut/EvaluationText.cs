using Perennial.Data;
using Perennial.Data.Preparation;
using Perennial.Data.Streams;

namespace Perennial.Training.HeldOut;

/// <summary>Text that a model is measured on: token ids by document, and how many bytes they stand for.</summary>
public sealed record EvaluationText
{
    /// <summary>What it is called in reports: <c>held-out</c>, or a file's name.</summary>
    public required string Name { get; init; }

    /// <summary>Token ids of each document, without end-of-text tokens.</summary>
    public required IReadOnlyList<ReadOnlyMemory<int>> Documents { get; init; }

    /// <summary>UTF-8 bytes of all documents: the denominator of bits per byte.</summary>
    public required long Bytes { get; init; }

    /// <summary>The tokenizer that made the ids.</summary>
    public required ITokenizer Tokenizer { get; init; }

    /// <summary>Tokens of all documents; each is scored exactly once.</summary>
    public long Tokens => Documents.Sum(document => (long)document.Length);

    /// <summary>Tokenizes documents; empty ones are left out.</summary>
    public static EvaluationText Of(string name, IEnumerable<ReadOnlyMemory<byte>> documents, ITokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentNullException.ThrowIfNull(tokenizer);
        var encoded = new List<ReadOnlyMemory<int>>();
        var bytes = 0L;
        foreach (var document in documents)
        {
            var ids = new List<int>();
            tokenizer.Encode(document.Span, ids);
            if (ids.Count == 0) continue;
            encoded.Add(ids.ToArray());
            bytes += document.Length;
        }
        return new EvaluationText { Name = name, Documents = encoded, Bytes = bytes, Tokenizer = tokenizer };
    }

    /// <summary>The source each document came from, by its number; null for text that is of no recipe's sources.</summary>
    public IReadOnlyList<int>? SourceOf { get; init; }

    /// <summary>Texts one after another, all of one tokenizer.</summary>
    public static EvaluationText Join(string name, IReadOnlyList<EvaluationText> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        return new EvaluationText
        {
            Name = name, Documents = [.. texts.SelectMany(text => text.Documents)], Bytes = texts.Sum(text => text.Bytes), Tokenizer = texts[0].Tokenizer,
            SourceOf = texts.All(text => text.SourceOf is not null) ? [.. texts.SelectMany(text => text.SourceOf!)] : null,
            Answers = texts.All(text => text.Answers is not null) ? [.. texts.SelectMany(text => text.Answers!)] : null,
        };
    }

    /// <summary>The first token of each document's answer (the number of tokens where there is none); null where everything counts.</summary>
    public IReadOnlyList<int>? Answers { get; init; }

    /// <summary>The held-out documents of prepared data, source after source, without those that only mixtures look at.</summary>
    /// <param name="data">Prepared data.</param>
    /// <param name="options">The recipe's data; null where nothing is kept for mixtures and everything counts.</param>
    public static EvaluationText HeldOut(PreparedData data, DataOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        return Join("held-out", [.. Enumerable.Range(0, data.HeldOut.Count).Select(source => OfSource(data, source, null, options))]);
    }

    /// <summary>The held-out documents of one source, possibly none, without those that only mixtures look at.</summary>
    /// <param name="data">Prepared data.</param>
    /// <param name="source">Number of the source.</param>
    /// <param name="limit">Stop after the document with which so many tokens are reached; null for all.</param>
    /// <param name="options">The recipe's data; null where nothing is kept for mixtures and everything counts.</param>
    public static EvaluationText OfSource(PreparedData data, int source, long? limit = null, DataOptions? options = null) =>
        Gather(data, source, limit, document => !IsProbe(document, options?.Probe ?? 0), options);

    /// <summary>The held-out documents of one source that a mixture's losses are measured on; those that are reported where none are kept apart.</summary>
    /// <param name="data">Prepared data.</param>
    /// <param name="source">Number of the source.</param>
    /// <param name="options">The recipe's data.</param>
    public static EvaluationText ProbeOf(PreparedData data, int source, DataOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return Gather(data, source, options.ProbeTokens, document => options.Probe == 0 || IsProbe(document, options.Probe), options);
    }

    /// <summary>Every 1/share-th document, evenly spread over the source.</summary>
    private static bool IsProbe(long document, double share) => Math.Floor((document + 1) * share) > Math.Floor(document * share);

    private static EvaluationText Gather(PreparedData data, int source, long? limit, Func<long, bool> takes, DataOptions? options)
    {
        ArgumentNullException.ThrowIfNull(data);
        var shard = data.HeldOut[source];
        var documents = new List<ReadOnlyMemory<int>>();
        var (taken, left) = (0L, false);
        for (var document = 0L; document < shard.Documents; document++)
        {
            left |= !takes(document) || taken >= limit;
            // Without the end-of-text token that closes it, which is not text.
            if (!takes(document) || taken >= limit || shard.Document(document) is not { Length: > 0 } ids) continue;
            documents.Add(ids);
            taken += ids.Length;
        }
        // Where every document counts, the shard knows the bytes that went in.
        var bytes = left ? documents.Sum(ids => (long)data.Tokenizer.Decode(ids.Span).Length) : shard.TextBytes;
        var mark = options is null ? null : AnswerMark.Of(options, data.Tokenizer);
        return new EvaluationText
        {
            Name = data.Statistics[source].Path, Documents = documents, Bytes = bytes, Tokenizer = data.Tokenizer, SourceOf = [.. Enumerable.Repeat(source, documents.Count)],
            Answers = mark is null ? null : [.. documents.Select(ids => mark.Start(ids.Span))],
        };
    }
}
