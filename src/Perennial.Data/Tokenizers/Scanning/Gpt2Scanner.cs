namespace Perennial.Data.Tokenizers.Scanning;

/// <summary><see cref="PreTokenizer.Gpt2Pattern"/>.</summary>
internal sealed class Gpt2Scanner : PieceScanner
{
    public override int Next(ReadOnlySpan<byte> text, int start)
    {
        if (Contraction(text, start, anyCase: false) is var contraction && contraction > start) return contraction;
        var found = CharacterClasses.At(text, start, out var length);
        // " ?" before a run of one kind.
        var (first, behind) = (found, start + length);
        if (text[start] == ' ')
        {
            if (behind == text.Length) return behind;
            first = CharacterClasses.At(text, behind, out var width);
            behind += width;
        }
        if ((first & CharacterClass.Letter) != 0) return Run(text, behind, CharacterClass.Letter);
        if ((first & CharacterClass.Number) != 0) return Run(text, behind, CharacterClass.Number);
        if (IsOther(first)) return RunOfOthers(text, behind);
        return Blanks(text, start);
    }
}
