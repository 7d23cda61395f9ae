namespace Perennial.Data.Tokenizers.Scanning;

/// <summary><see cref="PreTokenizer.Cl100kPattern"/>, and Qwen2's with single digits.</summary>
/// <param name="digits">Most digits of a piece.</param>
internal sealed class Cl100kScanner(int digits) : PieceScanner
{
    public override int Next(ReadOnlySpan<byte> text, int start)
    {
        if (Contraction(text, start, anyCase: true) is var contraction && contraction > start) return contraction;
        var found = CharacterClasses.At(text, start, out var length);
        var behind = start + length;
        if ((found & CharacterClass.Letter) != 0) return Run(text, behind, CharacterClass.Letter);
        if ((found & CharacterClass.Number) != 0) return Digits(text, start, digits);
        var next = CharacterClass.Space;
        var width = 0;
        if (behind < text.Length) next = CharacterClasses.At(text, behind, out width);
        // [^\r\n\p{L}\p{N}]?\p{L}+
        if ((found & CharacterClass.Line) == 0 && (next & CharacterClass.Letter) != 0) return Run(text, behind + width, CharacterClass.Letter);
        if (IsOther(found)) return RunOfLines(text, RunOfOthers(text, behind));
        if (text[start] == ' ' && IsOther(next)) return RunOfLines(text, RunOfOthers(text, behind + width));
        return BlanksOrLines(text, start);
    }
}
