using Perennial.Data;

namespace Perennial.Evaluation.Tasks;

/// <summary>Words of a text: what stands between white space.</summary>
internal static class Words
{
    /// <summary>Number of words in UTF-8 text.</summary>
    public static long CountIn(ReadOnlySpan<byte> text)
    {
        var count = 0L;
        var inside = false;
        foreach (var one in text)
        {
            var letter = !IsSpace(one);
            if (letter && !inside) count++;
            inside = letter;
        }
        return count;
    }

    /// <summary>
    /// The tokens of each word, from the token that begins it (with the space before it, as byte-level tokenizers write it) to the
    /// one before the next white space. A token that ends one word and begins another belongs to both.
    /// </summary>
    public static IEnumerable<(int First, int End)> In(ReadOnlyMemory<int> document, ITokenizer tokenizer)
    {
        var first = -1;
        for (var i = 0; i < document.Length; i++)
        {
            var bytes = tokenizer.Decode(document.Span.Slice(i, 1));
            for (var at = 0; at < bytes.Length; at++)
            {
                if (!IsSpace(bytes[at])) { if (first < 0) first = i; }
                else if (first >= 0)
                {
                    yield return (first, at == 0 ? i : i + 1);
                    first = -1;
                }
            }
        }
        if (first >= 0) yield return (first, document.Length);
    }

    private static bool IsSpace(byte one) => one is (byte)' ' or (>= 9 and <= 13);
}
