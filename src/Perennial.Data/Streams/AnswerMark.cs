using System.Text;

namespace Perennial.Data.Streams;

/// <summary>Where a document's answer begins: behind the last occurrence of a text.</summary>
/// <param name="marker">The text.</param>
/// <param name="tokenizer">What made the ids.</param>
public sealed class AnswerMark(string marker, ITokenizer tokenizer)
{
    private readonly byte[] bytes = Encoding.UTF8.GetBytes(marker);

    /// <summary>The mark of a recipe's data; null where everything counts.</summary>
    public static AnswerMark? Of(DataOptions options, ITokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(options);
        return options.Answers is { } marker ? new AnswerMark(marker, tokenizer) : null;
    }

    /// <summary>The first token that begins behind the marker; the number of tokens where a document has no marker, or nothing behind it.</summary>
    /// <param name="ids">A document's ids, without end-of-text.</param>
    public int Start(ReadOnlySpan<int> ids)
    {
        var text = tokenizer.Decode(ids);
        var found = text.AsSpan().LastIndexOf(bytes);
        if (found < 0) return ids.Length;
        var (end, position) = (found + bytes.Length, 0);
        for (var i = 0; i < ids.Length; i++)
        {
            if (position >= end) return i;
            position += tokenizer.Decode(ids.Slice(i, 1)).Length;
        }
        return ids.Length;
    }
}
