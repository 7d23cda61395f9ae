using Perennial.Data.Text;

namespace Perennial.Data.Filters;

/// <summary>
/// An n-gram model over words with interpolated Kneser-Ney smoothing (Chen and Goodman, 1999, equation 20, one discount for each order), counted
/// in hash tables of 64-bit keys. Words are lower-cased ASCII, digits are one class; words seen once or never are one word.
/// </summary>
public sealed class NgramModel
{
    private const ulong Unknown = 0x5851F42D4C957F2D, Begin = 0x14057B7EF767814F;

    private readonly int order;
    private readonly HashTable words = new();

    // Of order k: how often (highest order) or after how many different words (lower ones) an n-gram was seen.
    private readonly HashTable[] grams;

    // Of a context of k words: the sum of its followers' counts, and how many different ones there are.
    private readonly HashTable[] totals, kinds;
    private readonly double[] discounts;
    private long vocabulary;

    private NgramModel(int order)
    {
        this.order = order;
        grams = [.. Enumerable.Range(0, order + 1).Select(_ => new HashTable())];
        totals = [.. Enumerable.Range(0, order).Select(_ => new HashTable())];
        kinds = [.. Enumerable.Range(0, order).Select(_ => new HashTable())];
        discounts = new double[order + 1];
    }

    /// <summary>N-grams kept, all orders together.</summary>
    public long Size => grams.Sum(table => (long)table.Count);

    /// <summary>Trains a model.</summary>
    /// <param name="texts">Text, walked through twice: once for the vocabulary, once for the counts.</param>
    /// <param name="order">Longest n-gram.</param>
    public static NgramModel Train(IReadOnlyCollection<ReadOnlyMemory<byte>> texts, int order)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentOutOfRangeException.ThrowIfLessThan(order, 1);
        var model = new NgramModel(order);
        var buffer = new List<ulong>();
        foreach (var text in texts)
        {
            Hashes(text.Span, buffer);
            foreach (var word in buffer) model.words.Add(word, 1);
        }
        foreach (var text in texts)
        {
            model.Read(text.Span, buffer);
            for (var end = 1; end < buffer.Count; end++) model.Count(buffer, end);
        }
        model.Finish();
        return model;
    }

    /// <summary>Cross-entropy of a text, nats a word; 0 for a text without words.</summary>
    public double Entropy(ReadOnlySpan<byte> text)
    {
        var buffer = new List<ulong>();
        Read(text, buffer);
        if (buffer.Count <= 1) return 0;
        var sum = 0.0;
        for (var end = 1; end < buffer.Count; end++) sum -= Math.Log(Probability(buffer, end));
        return sum / (buffer.Count - 1);
    }

    /// <summary>Perplexity of a text a word.</summary>
    public double Perplexity(ReadOnlySpan<byte> text) => Math.Exp(Entropy(text));

    // A new n-gram of order k adds a kind of predecessor to its suffix of order k − 1: counts of lower orders are kinds (Kneser-Ney).
    private void Count(List<ulong> text, int end)
    {
        for (var k = Math.Min(order, end + 1); k >= 1; k--)
        {
            var (context, gram) = Keys(text, end, k);
            var isNew = grams[k].Add(gram, 1) == 1;
            totals[k - 1].Add(context, 1);
            if (isNew) kinds[k - 1].Add(context, 1);
            // Seen before: its suffixes have their predecessor counted already.
            if (!isNew) break;
        }
    }

    private void Finish()
    {
        vocabulary = grams[1].Count + 1;
        for (var k = 1; k <= order; k++)
        {
            var (once, twice) = grams[k].OnceAndTwice();
            discounts[k] = once == 0 ? 0.5 : Math.Clamp(once / (once + 2.0 * twice), 0.05, 0.95);
        }
    }

    private double Probability(List<ulong> text, int end)
    {
        var probability = 1.0 / vocabulary;
        for (var k = 1; k <= Math.Min(order, end + 1); k++)
        {
            var (context, gram) = Keys(text, end, k);
            var total = totals[k - 1].Get(context);
            if (total == 0) break;
            var count = grams[k].Get(gram);
            probability = Math.Max(count - discounts[k], 0) / total + discounts[k] * kinds[k - 1].Get(context) / total * probability;
        }
        return probability;
    }

    private static (ulong Context, ulong Gram) Keys(List<ulong> text, int end, int k)
    {
        var context = 0x2545F4914F6CDD1DUL * (ulong)k;
        for (var i = end - k + 1; i < end; i++) context = WordHash.Mix(context ^ text[i]);
        return (context, WordHash.Mix(context ^ text[end] ^ 0xA5A5A5A5A5A5A5A5));
    }

    private void Read(ReadOnlySpan<byte> text, List<ulong> into)
    {
        Hashes(text, into);
        into.Insert(0, Begin);
        for (var i = 1; i < into.Count; i++)
        {
            if (words.Get(into[i]) < 2) into[i] = Unknown;
        }
    }

    private static void Hashes(ReadOnlySpan<byte> text, List<ulong> into)
    {
        into.Clear();
        var normal = new NormalWords(text);
        while (normal.Next(out var hash)) into.Add(hash);
    }
}
