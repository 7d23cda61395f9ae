using Perennial.Data.Shards;

namespace Perennial.Data.Preparation;

/// <summary>What preparation saw of one source.</summary>
/// <param name="Path">The recipe's path.</param>
/// <param name="Weight">The recipe's weight.</param>
/// <param name="Documents">Training documents.</param>
/// <param name="TextBytes">Their UTF-8 bytes.</param>
/// <param name="Tokens">Their tokens.</param>
/// <param name="HeldOutDocuments">Held-out documents.</param>
/// <param name="HeldOutBytes">Their UTF-8 bytes.</param>
/// <param name="HeldOutTokens">Their tokens.</param>
/// <param name="Rejected">Documents left out, by reason.</param>
public sealed record SourceStatistics(
    string Path, double Weight, long Documents, long TextBytes, long Tokens,
    long HeldOutDocuments, long HeldOutBytes, long HeldOutTokens, IReadOnlyDictionary<string, long> Rejected);

/// <summary>Tokenized, split data, ready to be read as windows. Owns its memory maps.</summary>
/// <param name="Tokenizer">The tokenizer.</param>
/// <param name="Train">Training shard of every source, in recipe order.</param>
/// <param name="HeldOut">Held-out shard of every source, in recipe order (possibly without documents).</param>
/// <param name="Statistics">Per source.</param>
/// <param name="Fingerprint">Hash of everything the shards depend on.</param>
/// <param name="Folder">Cache folder that holds the shards and <c>tokenizer.json</c>.</param>
public sealed record PreparedData(
    ITokenizer Tokenizer, IReadOnlyList<TokenShard> Train, IReadOnlyList<TokenShard> HeldOut,
    IReadOnlyList<SourceStatistics> Statistics, string Fingerprint, string Folder) : IDisposable
{
    /// <summary>The held-out text of all sources, as it went in, for compressors to be compared with.</summary>
    public byte[] HeldOutText()
    {
        using var text = new MemoryStream();
        foreach (var ids in HeldOutDocuments()) text.Write(Tokenizer.Decode(ids.Span));
        return text.ToArray();
    }

    /// <summary>The ids of every held-out document, in order, without end-of-text: for measures that look at documents one by one.</summary>
    public IEnumerable<ReadOnlyMemory<int>> HeldOutDocuments() =>
        HeldOut.SelectMany(shard => Enumerable.Range(0, checked((int)shard.Documents)).Select(document => (ReadOnlyMemory<int>)shard.Document(document)));

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var shard in Train) shard.Dispose();
        foreach (var shard in HeldOut) shard.Dispose();
    }
}
