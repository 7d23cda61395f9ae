using System.Runtime.InteropServices;
using System.Text;

namespace Perennial.Data.Tokenizers;

/// <summary>
/// Trains byte-level BPE: pieces are counted (in any order, on any number of threads), then the most frequent pair is merged
/// again and again; ties go to the smaller pair of ids. The result depends on the text alone.
/// </summary>
public sealed class BpeTrainer
{
    /// <summary>Name of the token between documents.</summary>
    public const string EndOfTextName = "<|endoftext|>";

    private readonly PreTokenizer preTokenizer = new(PreTokenizer.Gpt2Pattern);
    private readonly Dictionary<string, long> counts = new(StringComparer.Ordinal);

    /// <summary>Counts the pieces of documents, in parallel.</summary>
    public void Count(IReadOnlyList<ReadOnlyMemory<byte>> documents)
    {
        ArgumentNullException.ThrowIfNull(documents);
        Parallel.ForEach(System.Collections.Concurrent.Partitioner.Create(0, documents.Count), range =>
        {
            var local = new Dictionary<string, long>(StringComparer.Ordinal);
            var lookup = local.GetAlternateLookup<ReadOnlySpan<char>>();
            for (var i = range.Item1; i < range.Item2; i++)
            {
                preTokenizer.Split(documents[i].Span, piece =>
                {
                    var key = piece.Length <= 256 ? stackalloc char[256] : new char[piece.Length];
                    key = key[..piece.Length];
                    for (var b = 0; b < piece.Length; b++) key[b] = (char)piece[b];
                    CollectionsMarshal.GetValueRefOrAddDefault(lookup, key, out _)++;
                });
            }
            lock (counts)
            {
                foreach (var (piece, count) in local) CollectionsMarshal.GetValueRefOrAddDefault(counts, piece, out _) += count;
            }
        });
    }

    /// <summary>Merges until the vocabulary has the given size (or no pair is left): 256 bytes, the merges, and end-of-text as the last id.</summary>
    public BpeTokenizer Train(int vocabulary)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vocabulary, 257);
        var words = counts.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => (Ids: pair.Key.Select(c => (int)c).ToArray(), Count: pair.Value)).ToArray();
        var tokens = Enumerable.Range(0, 256).Select(value => new[] { (byte)value }).ToList();
        var merges = new List<(int, int, int)>();
        var pairCounts = new Dictionary<(int Left, int Right), long>();
        var pairWords = new Dictionary<(int Left, int Right), HashSet<int>>();
        var queue = new PriorityQueue<((int Left, int Right) Pair, long Count), (long Count, int Left, int Right)>();
        for (var word = 0; word < words.Length; word++) Touch(word, +1);
        foreach (var (pair, count) in pairCounts) Offer(pair, count);
        while (tokens.Count < vocabulary - 1 && queue.TryDequeue(out var best, out _))
        {
            if (!pairCounts.TryGetValue(best.Pair, out var current) || current != best.Count) continue; // an outdated entry
            var merged = tokens.Count;
            tokens.Add([.. tokens[best.Pair.Left], .. tokens[best.Pair.Right]]);
            merges.Add((best.Pair.Left, best.Pair.Right, merged));
            var changed = new HashSet<(int, int)>();
            foreach (var word in pairWords[best.Pair].ToArray())
            {
                Touch(word, -1, changed);
                words[word].Ids = Apply(words[word].Ids, best.Pair, merged);
                Touch(word, +1, changed);
            }
            foreach (var pair in changed)
            {
                if (pairCounts.TryGetValue(pair, out var count) && count > 0) Offer(pair, count);
            }
        }
        var endOfText = tokens.Count;
        return new BpeTokenizer([.. tokens, null], merges, [new SpecialToken(endOfText, EndOfTextName)], endOfText, PreTokenizer.Gpt2Pattern);

        void Offer((int Left, int Right) pair, long count) => queue.Enqueue((pair, count), (-count, pair.Left, pair.Right));

        void Touch(int word, int sign, HashSet<(int, int)>? changed = null)
        {
            var (ids, count) = words[word];
            for (var i = 0; i + 1 < ids.Length; i++)
            {
                var pair = (ids[i], ids[i + 1]);
                changed?.Add(pair);
                ref var total = ref CollectionsMarshal.GetValueRefOrAddDefault(pairCounts, pair, out _);
                total += sign * count;
                ref var holders = ref CollectionsMarshal.GetValueRefOrAddDefault(pairWords, pair, out _);
                holders ??= [];
                if (sign > 0) holders.Add(word);
                else holders.Remove(word);
                if (total == 0)
                {
                    pairCounts.Remove(pair);
                    pairWords.Remove(pair);
                }
            }
        }
    }

    private static int[] Apply(int[] ids, (int Left, int Right) pair, int merged)
    {
        var result = new List<int>(ids.Length);
        for (var i = 0; i < ids.Length; i++)
        {
            if (i + 1 < ids.Length && ids[i] == pair.Left && ids[i + 1] == pair.Right)
            {
                result.Add(merged);
                i++;
            }
            else
                result.Add(ids[i]);
        }
        return [.. result];
    }
}
