using System.Text;

namespace Perennial.Data.Filters;

/// <summary>How often each word of a text occurs, and draws by these frequencies. Counting is not thread-safe, drawing is.</summary>
public sealed class WordFrequencies
{
    private readonly Dictionary<string, long> counts = new(StringComparer.Ordinal);
    private readonly Lock freeze = new();
    private volatile Table? table;

    /// <summary>Counts the words of a text. A word is a stretch without white space.</summary>
    public void Add(ReadOnlySpan<byte> text)
    {
        table = null;
        var lookup = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        for (var at = 0; at < text.Length;)
        {
            while (at < text.Length && IsSpace(text[at])) at++;
            var start = at;
            while (at < text.Length && !IsSpace(text[at])) at++;
            if (at == start) continue;
            // Bytes as characters of the same number: any bytes round-trip.
            var word = Encoding.Latin1.GetString(text[start..at]);
            lookup[word] = lookup.TryGetValue(word, out var count) ? count + 1 : 1;
        }
    }

    /// <summary>The word at a share of the cumulated frequencies.</summary>
    /// <param name="share">Uniform draw, 0 to below 1.</param>
    /// <exception cref="InvalidOperationException">Nothing was counted.</exception>
    public ReadOnlySpan<byte> Pick(double share)
    {
        var frozen = Freeze();
        var target = (long)(share * frozen.Cumulated[^1]);
        var found = Array.BinarySearch(frozen.Cumulated, target + 1);
        return frozen.Words[found >= 0 ? found : ~found];
    }

    /// <summary>Whether a byte of UTF-8 text is white space (of ASCII: all that separates words in plain text files).</summary>
    public static bool IsSpace(byte value) => value is (byte)' ' or (byte)'\n' or (byte)'\r' or (byte)'\t' or (byte)'\v' or (byte)'\f';

    private Table Freeze()
    {
        if (table is { } ready) return ready;
        lock (freeze)
        {
            if (table is { } made) return made;
            if (counts.Count == 0) throw new InvalidOperationException("no text was counted: draw only after the pass that learns");
            // Sorted, so that a draw means the same word whatever order the text was read in.
            var sorted = counts.OrderBy(pair => pair.Key, StringComparer.Ordinal).ToList();
            var cumulated = new long[sorted.Count];
            var sum = 0L;
            for (var i = 0; i < cumulated.Length; i++) cumulated[i] = sum += sorted[i].Value;
            return table = new Table([.. sorted.Select(pair => Encoding.Latin1.GetBytes(pair.Key))], cumulated);
        }
    }

    private sealed record Table(byte[][] Words, long[] Cumulated);
}
