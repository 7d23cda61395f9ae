using System.Runtime.InteropServices;

namespace Perennial.Data.Tokenizers;

/// <summary>
/// Words as sequences of ids, and how often every pair of neighbours occurs, kept current while pairs are merged. A merge
/// touches only the words that hold the pair. Counts in the queue are upper bounds: only pairs with the newest id ever grow,
/// so an outdated entry is put right when it comes up.
/// </summary>
internal sealed class BpePairTable
{
    private readonly int[][] words;
    private readonly int[] lengths;
    private readonly long[] frequencies;
    private readonly Dictionary<long, int> numbers = [];
    private readonly List<PairEntry> pairs = [];
    private readonly PriorityQueue<int, (long MinusCount, long Pair)> queue = new();

    /// <summary>Takes over counted pieces, bytes as Latin-1 characters, in an order that depends on nothing but them.</summary>
    public BpePairTable(IEnumerable<KeyValuePair<string, long>> pieces)
    {
        var list = pieces.Where(piece => piece.Key.Length > 1).ToList();
        words = [.. list.Select(piece => Array.ConvertAll(piece.Key.ToCharArray(), character => (int)character))];
        lengths = [.. words.Select(word => word.Length)];
        frequencies = [.. list.Select(piece => piece.Value)];
        for (var word = 0; word < words.Length; word++)
        {
            for (var i = 0; i + 1 < words[word].Length; i++) Add(words[word][i], words[word][i + 1], word);
        }
        for (var number = 0; number < pairs.Count; number++) Offer(number);
    }

    /// <summary>The most frequent pair (ties: the smaller left id, then the smaller right one), or null when no pair is left.</summary>
    public (int Left, int Right)? MostFrequent()
    {
        while (queue.TryDequeue(out var number, out var priority))
        {
            var entry = pairs[number];
            if (entry.Count == -priority.MinusCount) return ((int)(entry.Pair >> 32), (int)entry.Pair);
            Offer(number);
        }
        return null;
    }

    /// <summary>Makes every occurrence of a pair one id.</summary>
    public void Merge((int Left, int Right) pair, int merged)
    {
        var firstNew = pairs.Count;
        var entry = pairs[numbers[Key(pair.Left, pair.Right)]];
        foreach (var word in entry.Words)
        {
            var ids = words[word].AsSpan(0, lengths[word]);
            if (!Holds(ids, pair)) continue;
            for (var i = 0; i + 1 < ids.Length; i++) pairs[numbers[Key(ids[i], ids[i + 1])]].Count -= frequencies[word];
            var length = Apply(ids, pair, merged);
            lengths[word] = length;
            for (var i = 0; i + 1 < length; i++)
            {
                if (ids[i] == merged || ids[i + 1] == merged) Add(ids[i], ids[i + 1], word);
                else pairs[numbers[Key(ids[i], ids[i + 1])]].Count += frequencies[word];
            }
        }
        entry.Words.Clear();
        for (var number = firstNew; number < pairs.Count; number++) Offer(number);
    }

    private static long Key(int left, int right) => (long)left << 32 | (uint)right;

    private static bool Holds(ReadOnlySpan<int> ids, (int Left, int Right) pair)
    {
        for (var i = 0; i + 1 < ids.Length; i++)
        {
            if (ids[i] == pair.Left && ids[i + 1] == pair.Right) return true;
        }
        return false;
    }

    private static int Apply(Span<int> ids, (int Left, int Right) pair, int merged)
    {
        var length = 0;
        for (var i = 0; i < ids.Length; i++)
        {
            if (i + 1 < ids.Length && ids[i] == pair.Left && ids[i + 1] == pair.Right)
            {
                ids[length++] = merged;
                i++;
            }
            else
                ids[length++] = ids[i];
        }
        return length;
    }

    private void Add(int left, int right, int word)
    {
        ref var number = ref CollectionsMarshal.GetValueRefOrAddDefault(numbers, Key(left, right), out var known);
        if (!known)
        {
            number = pairs.Count;
            pairs.Add(new PairEntry(Key(left, right)));
        }
        var entry = pairs[number];
        entry.Count += frequencies[word];
        if (entry.Words.Count == 0 || entry.Words[^1] != word) entry.Words.Add(word);
    }

    private void Offer(int number)
    {
        if (pairs[number].Count > 0) queue.Enqueue(number, (-pairs[number].Count, pairs[number].Pair));
    }

    private sealed class PairEntry(long pair)
    {
        public long Pair { get; } = pair;

        public long Count { get; set; }

        public List<int> Words { get; } = [];
    }
}
