using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Perennial.Data.Tokenizers;

/// <summary>
/// Trains byte-level BPE: pieces are counted (in any order, on any number of threads), then the most frequent pair is merged
/// again and again; ties go to the smaller pair of ids. The result depends on the text alone.
/// </summary>
public sealed class BpeTrainer
{
    /// <summary>Name of the token between documents.</summary>
    public const string EndOfTextName = "<|endoftext|>";

    // A megabyte without blanks (base64, DNA) would be scanned whole at each of its merges; in training it counts in parts.
    private const int LongestPiece = 256;

    private readonly PreTokenizer preTokenizer = new(PreTokenizer.Gpt2Pattern);
    private readonly Dictionary<string, long> counts = new(StringComparer.Ordinal);

    /// <summary>Counts the pieces of documents, in parallel. Not to be called from several threads at once.</summary>
    public void Count(IReadOnlyList<ReadOnlyMemory<byte>> documents)
    {
        ArgumentNullException.ThrowIfNull(documents);
        if (documents.Count == 0) return;
        Parallel.ForEach(Partitioner.Create(0, documents.Count, Math.Max(1, documents.Count / (4 * Environment.ProcessorCount))), range =>
        {
            var local = new Dictionary<string, long>(StringComparer.Ordinal);
            for (var i = range.Item1; i < range.Item2; i++)
            {
                preTokenizer.Split(documents[i].Span, piece =>
                {
                    for (; piece.Length > LongestPiece; piece = piece[LongestPiece..]) Count(local, piece[..LongestPiece]);
                    Count(local, piece);
                });
            }
            lock (counts)
            {
                foreach (var (piece, count) in local) CollectionsMarshal.GetValueRefOrAddDefault(counts, piece, out _) += count;
            }
        });
    }

    /// <summary>Merges until the vocabulary has the given size (or no pair is left): 256 bytes, the merges, and end-of-text as the last id.</summary>
    public BpeTokenizer Train(int vocabulary, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabulary, 257);
        var tokens = Enumerable.Range(0, 256).Select(value => new[] { (byte)value }).ToList();
        var merges = new List<(int Left, int Right, int Merged)>();
        var table = new BpePairTable(counts.OrderBy(pair => pair.Key, StringComparer.Ordinal));
        while (tokens.Count < vocabulary - 1 && table.MostFrequent() is { } best)
        {
            cancellation.ThrowIfCancellationRequested();
            table.Merge(best, tokens.Count);
            merges.Add((best.Left, best.Right, tokens.Count));
            tokens.Add([.. tokens[best.Left], .. tokens[best.Right]]);
        }
        var endOfText = tokens.Count;
        return new BpeTokenizer([.. tokens, null], merges, [new SpecialToken(endOfText, EndOfTextName)], endOfText, PreTokenizer.Gpt2Pattern);
    }

    private static void Count(Dictionary<string, long> local, ReadOnlySpan<byte> piece)
    {
        // Bytes as Latin-1 characters: a key that is found without being made.
        Span<char> key = stackalloc char[LongestPiece];
        for (var i = 0; i < piece.Length; i++) key[i] = (char)piece[i];
        CollectionsMarshal.GetValueRefOrAddDefault(local.GetAlternateLookup<ReadOnlySpan<char>>(), key[..piece.Length], out _)++;
    }
}
