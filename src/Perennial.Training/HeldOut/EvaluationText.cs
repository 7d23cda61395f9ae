using Perennial.Data;
using Perennial.Data.Preparation;

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

    /// <summary>Texts one after another, all of one tokenizer.</summary>
    public static EvaluationText Join(string name, IReadOnlyList<EvaluationText> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        return new EvaluationText { Name = name, Documents = [.. texts.SelectMany(text => text.Documents)], Bytes = texts.Sum(text => text.Bytes), Tokenizer = texts[0].Tokenizer };
    }

    /// <summary>The held-out documents of prepared data, source after source.</summary>
    public static EvaluationText HeldOut(PreparedData data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return Join("held-out", [.. Enumerable.Range(0, data.HeldOut.Count).Select(source => OfSource(data, source))]);
    }

    /// <summary>The held-out documents of one source, possibly none.</summary>
    /// <param name="data">Prepared data.</param>
    /// <param name="source">Number of the source.</param>
    /// <param name="limit">Stop after the document with which so many tokens are reached; null for all.</param>
    public static EvaluationText OfSource(PreparedData data, int source, long? limit = null)
    {
        ArgumentNullException.ThrowIfNull(data);
        var shard = data.HeldOut[source];
        var documents = new List<ReadOnlyMemory<int>>();
        long taken = 0, bytes = 0;
        for (var document = 0L; document < shard.Documents && (limit is null || taken < limit); document++)
        {
            var first = shard.DocumentStart(document);
            var ids = new long[shard.DocumentStart(document + 1) - first];
            shard.Read(first, ids);
            // Between documents a shard has the end-of-text token, which is not text.
            var tokens = ids.Where(id => id != data.Tokenizer.EndOfText).Select(id => (int)id).ToArray();
            if (tokens.Length == 0) continue;
            documents.Add(tokens);
            taken += tokens.Length;
            if (limit is not null) bytes += data.Tokenizer.Decode(tokens).Length;
        }
        return new EvaluationText { Name = data.Statistics[source].Path, Documents = documents, Bytes = limit is null ? shard.TextBytes : bytes, Tokenizer = data.Tokenizer };
    }
}
