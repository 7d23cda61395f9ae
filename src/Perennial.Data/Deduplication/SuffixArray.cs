namespace Perennial.Data.Deduplication;

/// <summary>
/// Suffix arrays by induced sorting (SA-IS: Nong, Zhang and Chan, DCC 2009) and their longest common prefixes (Kasai et al., CPM 2001),
/// both in linear time.
/// </summary>
public static class SuffixArray
{
    /// <summary>The beginnings of a text's suffixes in their order.</summary>
    /// <param name="text">Symbols, 0 … <paramref name="alphabet"/> − 1.</param>
    /// <param name="alphabet">Number of symbols.</param>
    public static int[] Build(ReadOnlySpan<int> text, int alphabet)
    {
        if (text.Length == 0) return [];
        if (text.Length == 1) return [0];
        var n = text.Length;
        var suffixes = new int[n];
        // A suffix is small when it is less than the one behind it.
        var small = new bool[n];
        for (var i = n - 2; i >= 0; i--) small[i] = text[i] == text[i + 1] ? small[i + 1] : text[i] < text[i + 1];
        var (large, less) = (new int[alphabet + 1], new int[alphabet + 1]);
        for (var i = 0; i < n; i++)
        {
            if (small[i]) less[text[i] + 1]++;
            else large[text[i]]++;
        }
        for (var symbol = 0; symbol < alphabet; symbol++)
        {
            large[symbol] += less[symbol];
            less[symbol + 1] += large[symbol];
        }
        var numbers = new int[n + 1];
        Array.Fill(numbers, -1);
        var marks = new List<int>();
        for (var i = 1; i < n; i++)
        {
            if (small[i - 1] || !small[i]) continue;
            numbers[i] = marks.Count;
            marks.Add(i);
        }
        Induce(text, marks, suffixes, small, large, less);
        if (marks.Count == 0) return suffixes;
        var sorted = new List<int>(marks.Count);
        foreach (var suffix in suffixes)
        {
            if (numbers[suffix] >= 0) sorted.Add(suffix);
        }
        // Equal stretches between marks get equal names; the order of names is the order of the marks' suffixes in a shorter text.
        var (names, name) = (new int[marks.Count], 0);
        names[numbers[sorted[0]]] = 0;
        for (var i = 1; i < sorted.Count; i++)
        {
            if (!Alike(text, marks, numbers, sorted[i - 1], sorted[i])) name++;
            names[numbers[sorted[i]]] = name;
        }
        var order = Build(names, name + 1);
        for (var i = 0; i < order.Length; i++) sorted[i] = marks[order[i]];
        Induce(text, sorted, suffixes, small, large, less);
        return suffixes;
    }

    /// <summary>Length of the common beginning of every two neighbours in the suffix array: entry i compares suffixes i and i + 1.</summary>
    public static int[] CommonPrefixes(ReadOnlySpan<int> text, ReadOnlySpan<int> suffixes)
    {
        var n = text.Length;
        var rank = new int[n];
        for (var i = 0; i < n; i++) rank[suffixes[i]] = i;
        var prefixes = new int[Math.Max(0, n - 1)];
        var length = 0;
        for (var i = 0; i < n; i++)
        {
            if (length > 0) length--;
            if (rank[i] == 0) continue;
            var j = suffixes[rank[i] - 1];
            while (j + length < n && i + length < n && text[j + length] == text[i + length]) length++;
            prefixes[rank[i] - 1] = length;
        }
        return prefixes;
    }

    private static bool Alike(ReadOnlySpan<int> text, List<int> marks, int[] numbers, int one, int other)
    {
        var (endOne, endOther) = (End(one), End(other));
        if (endOne - one != endOther - other) return false;
        while (one < endOne && text[one] == text[other]) (one, other) = (one + 1, other + 1);
        return one < text.Length && other < text.Length && text[one] == text[other];

        int End(int mark) => numbers[mark] + 1 < marks.Count ? marks[numbers[mark] + 1] : numbers.Length - 1;
    }

    private static void Induce(ReadOnlySpan<int> text, List<int> marks, int[] suffixes, bool[] small, int[] large, int[] less)
    {
        var n = text.Length;
        Array.Fill(suffixes, -1);
        // Bucket by bucket: large suffixes from the front, which are induced by what lies before them; small ones from the back.
        var buckets = (int[])large.Clone();
        foreach (var mark in marks) suffixes[buckets[text[mark]]++] = mark;
        less.CopyTo(buckets, 0);
        suffixes[buckets[text[n - 1]]++] = n - 1;
        for (var i = 0; i < n; i++)
        {
            var before = suffixes[i] - 1;
            if (suffixes[i] >= 1 && !small[before]) suffixes[buckets[text[before]]++] = before;
        }
        less.CopyTo(buckets, 0);
        for (var i = n - 1; i >= 0; i--)
        {
            var before = suffixes[i] - 1;
            if (suffixes[i] >= 1 && small[before]) suffixes[--buckets[text[before] + 1]] = before;
        }
    }
}
