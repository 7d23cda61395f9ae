namespace Perennial.Data.Tokenizers.Scanning;

/// <summary><see cref="PreTokenizer.O200kPattern"/>.</summary>
internal sealed class O200kScanner : PieceScanner
{
    public override int Next(ReadOnlySpan<byte> text, int start)
    {
        var found = CharacterClasses.At(text, start, out var length);
        var behind = start + length;
        var mayPrefix = (found & (CharacterClass.Letter | CharacterClass.Number | CharacterClass.Line)) == 0;
        // prefix? Head* Tail+, each choice as greedy as the pattern's: with the prefix first, then without.
        if (mayPrefix && HeadsTails(text, behind) is var prefixed and >= 0) return Contraction(text, prefixed, anyCase: true);
        if ((found & (CharacterClass.Head | CharacterClass.Tail)) != 0)
        {
            if (HeadsTails(text, start) is var plain and >= 0) return Contraction(text, plain, anyCase: true);
        }
        // prefix? Head+ Tail*: no tail follows, or the first alternative had matched.
        if (mayPrefix && Run(text, behind, CharacterClass.Head) is var heads && heads > behind) return Contraction(text, heads, anyCase: true);
        if ((found & CharacterClass.Head) != 0) return Contraction(text, Run(text, behind, CharacterClass.Head), anyCase: true);
        if ((found & CharacterClass.Number) != 0) return Digits(text, start, 3);
        if (IsOther(found)) return RunOfLinesAndSlashes(text, RunOfOthers(text, behind));
        if (text[start] == ' ' && behind < text.Length && IsOther(CharacterClasses.At(text, behind, out var width))) return RunOfLinesAndSlashes(text, RunOfOthers(text, behind + width));
        return BlanksOrLines(text, start);
    }

    /// <summary>The end of <c>Head*Tail+</c>, or -1. When no tail stands behind the heads, they give back down to their last one that is also a tail.</summary>
    private static int HeadsTails(ReadOnlySpan<byte> text, int start)
    {
        var (position, lastTail) = (start, -1);
        while (position < text.Length && CharacterClasses.At(text, position, out var length) is var found && (found & CharacterClass.Head) != 0)
        {
            position += length;
            if ((found & CharacterClass.Tail) != 0) lastTail = position;
        }
        var end = Run(text, position, CharacterClass.Tail);
        return end > position ? end : lastTail;
    }

    private static int RunOfLinesAndSlashes(ReadOnlySpan<byte> text, int position)
    {
        while (position < text.Length && text[position] is (byte)'\r' or (byte)'\n' or (byte)'/') position++;
        return position;
    }
}
