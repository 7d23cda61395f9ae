namespace Perennial.Data.Text;

/// <summary>
/// Cuts a text into sentences: after . ! ? (and their full-width kin) with closing quotes, before white space and a letter that is no small
/// one; and at line ends. The pieces joined are the text.
/// </summary>
internal ref struct Sentences(ReadOnlySpan<byte> text)
{
    private static readonly System.Buffers.SearchValues<byte> Ends = System.Buffers.SearchValues.Create("\n.!?。！？"u8);

    private readonly ReadOnlySpan<byte> text = text;

    /// <summary>First byte of the present sentence.</summary>
    public int Start { get; private set; }

    /// <summary>The byte behind it and the white space that follows it.</summary>
    public int End { get; private set; }

    /// <summary>Goes to the next sentence; false at the text's end.</summary>
    public bool Next()
    {
        Start = End;
        if (Start >= text.Length) return false;
        for (var at = Start; at < text.Length;)
        {
            var found = text[at..].IndexOfAny(Ends);
            if (found < 0) break;
            at += found;
            if (text[at] >= 0x80)
            {
                if (text[at..].StartsWith("。"u8) || text[at..].StartsWith("！"u8) || text[at..].StartsWith("？"u8))
                {
                    End = at + 3;
                    return true;
                }
                at++;
                continue;
            }
            var isLine = text[at] == '\n';
            at++;
            while (!isLine && at < text.Length && text[at] is (byte)'.' or (byte)'!' or (byte)'?' or (byte)'"' or (byte)'\'' or (byte)')') at++;
            if (!isLine && at < text.Length && text[at] is not ((byte)' ' or (byte)'\n')) continue;
            while (at < text.Length && text[at] is (byte)' ' or (byte)'\n') at++;
            if (!isLine && at < text.Length && text[at] is >= (byte)'a' and <= (byte)'z') continue;
            End = at;
            return true;
        }
        End = text.Length;
        return true;
    }
}
