using Perennial.Data.Text;

namespace Perennial.Data.Deduplication;

/// <summary>The n-grams of a text's normal words, as hashes.</summary>
internal static class Shingles
{
    private const ulong Base = 0xD6E8FEB86659FD93;

    /// <summary>Appends the hash of every n-gram; a text of fewer words is one shingle, a text without words none.</summary>
    public static void Add(ReadOnlySpan<byte> text, int n, List<ulong> into)
    {
        Span<ulong> last = stackalloc ulong[n];
        var power = 1UL;
        for (var i = 0; i < n; i++) power *= Base;
        var (rolling, count) = (0UL, 0);
        var words = new NormalWords(text);
        var slot = 0;
        while (words.Next(out var word))
        {
            rolling = rolling * Base + word;
            if (count >= n) rolling -= last[slot] * power;
            last[slot] = word;
            if (++slot == n) slot = 0;
            if (++count >= n) into.Add(WordHash.Mix(rolling));
        }
        if (count > 0 && count < n) into.Add(WordHash.Mix(rolling ^ (ulong)count));
    }

    /// <summary>The set of n-grams of a text, sorted.</summary>
    public static ulong[] Set(ReadOnlySpan<byte> text, int n)
    {
        var all = new List<ulong>(text.Length / 4);
        Add(text, n, all);
        all.Sort();
        var written = 0;
        for (var i = 0; i < all.Count; i++)
        {
            if (i == 0 || all[i] != all[i - 1]) all[written++] = all[i];
        }
        return [.. all[..written]];
    }

    /// <summary>Jaccard similarity of two sorted sets: common elements among all.</summary>
    public static double Jaccard(ReadOnlySpan<ulong> one, ReadOnlySpan<ulong> other)
    {
        if (one.IsEmpty || other.IsEmpty) return 0;
        var (i, j, common) = (0, 0, 0);
        while (i < one.Length && j < other.Length)
        {
            if (one[i] == other[j]) (i, j, common) = (i + 1, j + 1, common + 1);
            else if (one[i] < other[j]) i++;
            else j++;
        }
        return common / (double)(one.Length + other.Length - common);
    }
}
