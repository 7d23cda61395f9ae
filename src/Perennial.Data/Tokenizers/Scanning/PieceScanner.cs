using System.Runtime.CompilerServices;

namespace Perennial.Data.Tokenizers.Scanning;

/// <summary>
/// One of the well-known pre-tokenizer patterns, written out as a scanner over valid UTF-8: the same pieces as the regular expression, found
/// without one. Every branch below stands for an alternative of the pattern, in its order.
/// </summary>
internal abstract class PieceScanner
{
    private const CharacterClass Word = CharacterClass.Letter | CharacterClass.Number | CharacterClass.Space;

    /// <summary>The scanner of a pattern; null when the pattern is none of the known ones.</summary>
    public static PieceScanner? For(string pattern) => pattern switch
    {
        PreTokenizer.Gpt2Pattern => new Gpt2Scanner(),
        PreTokenizer.Cl100kPattern => new Cl100kScanner(3),
        PreTokenizer.Qwen2Pattern => new Cl100kScanner(1),
        PreTokenizer.O200kPattern => new O200kScanner(),
        PreTokenizer.WholePattern => new WholeScanner(),
        _ => null,
    };

    /// <summary>Where the piece that begins at <paramref name="start"/> ends; the text ends with the span.</summary>
    public abstract int Next(ReadOnlySpan<byte> text, int start);

    /// <summary><c>[class]*</c>: the end of a run of code points that have any of the classes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected static int Run(ReadOnlySpan<byte> text, int position, CharacterClass classes)
    {
        while (position < text.Length && (CharacterClasses.At(text, position, out var length) & classes) != 0) position += length;
        return position;
    }

    /// <summary><c>[^\s\p{L}\p{N}]*</c>.</summary>
    protected static int RunOfOthers(ReadOnlySpan<byte> text, int position)
    {
        while (position < text.Length && (CharacterClasses.At(text, position, out var length) & Word) == 0) position += length;
        return position;
    }

    /// <summary><c>[\r\n]*</c>.</summary>
    protected static int RunOfLines(ReadOnlySpan<byte> text, int position)
    {
        while (position < text.Length && text[position] is (byte)'\r' or (byte)'\n') position++;
        return position;
    }

    /// <summary>Whether a class is <c>[^\s\p{L}\p{N}]</c>.</summary>
    protected static bool IsOther(CharacterClass found) => (found & Word) == 0;

    /// <summary><c>'s|'t|'re|'ve|'m|'ll|'d</c> behind an apostrophe: the contraction's end, or <paramref name="start"/> where there is none.</summary>
    protected static int Contraction(ReadOnlySpan<byte> text, int start, bool anyCase)
    {
        if (start + 1 >= text.Length || text[start] != '\'') return start;
        var lower = anyCase ? (byte)0x20 : (byte)0;
        var first = (byte)(text[start + 1] | lower);
        if (first is (byte)'s' or (byte)'t' or (byte)'m' or (byte)'d') return start + 2;
        if (start + 2 >= text.Length) return start;
        var second = (byte)(text[start + 2] | lower);
        return (first, second) is ((byte)'r', (byte)'e') or ((byte)'v', (byte)'e') or ((byte)'l', (byte)'l') ? start + 3 : start;
    }

    /// <summary><c>\s+(?!\S)|\s+</c>: all of a run of blanks at the end of the text; elsewhere all but its last, which belongs to the next piece, unless it is alone.</summary>
    protected static int Blanks(ReadOnlySpan<byte> text, int start)
    {
        var (position, last) = (start, start);
        while (position < text.Length && (CharacterClasses.At(text, position, out var length) & CharacterClass.Space) != 0) (last, position) = (position, position + length);
        return position == text.Length || last == start ? position : last;
    }

    /// <summary><c>\s*[\r\n]+|\s+(?!\S)|\s+</c>: a run of blanks up to its last line end, or as <see cref="Blanks"/>.</summary>
    protected static int BlanksOrLines(ReadOnlySpan<byte> text, int start)
    {
        var (position, last, line) = (start, start, -1);
        while (position < text.Length && CharacterClasses.At(text, position, out var length) is var found && (found & CharacterClass.Space) != 0)
        {
            (last, position) = (position, position + length);
            if ((found & CharacterClass.Line) != 0) line = position;
        }
        return line >= 0 ? line : position == text.Length || last == start ? position : last;
    }

    /// <summary><c>\p{N}{1,n}</c>.</summary>
    protected static int Digits(ReadOnlySpan<byte> text, int position, int most)
    {
        for (var count = 0; count < most && position < text.Length && (CharacterClasses.At(text, position, out var length) & CharacterClass.Number) != 0; count++) position += length;
        return position;
    }
}

/// <summary>No cut at all.</summary>
internal sealed class WholeScanner : PieceScanner
{
    public override int Next(ReadOnlySpan<byte> text, int start) => text.Length;
}
