using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Perennial.Data.Tokenizers.Scanning;

/// <summary>What a code point is, for pre-tokenizers.</summary>
[Flags]
internal enum CharacterClass : byte
{
    /// <summary>Anything else: punctuation, symbols, controls, unassigned.</summary>
    Other = 0,

    /// <summary><c>\p{L}</c>.</summary>
    Letter = 1,

    /// <summary><c>\p{N}</c>.</summary>
    Number = 2,

    /// <summary><c>\s</c>.</summary>
    Space = 4,

    /// <summary>Carriage return or line feed.</summary>
    Line = 8,

    /// <summary><c>[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]</c>: what may begin a word of o200k.</summary>
    Head = 16,

    /// <summary><c>[\p{Ll}\p{Lm}\p{Lo}\p{M}]</c>: what may end a word of o200k.</summary>
    Tail = 32,
}

/// <summary>Classes of code points: the categories of .NET's Unicode data, with a table for the Basic Multilingual Plane.</summary>
internal static class CharacterClasses
{
    private static readonly CharacterClass[] Plane = [.. Enumerable.Range(0, 0x10000).Select(value => Of(CharUnicodeInfo.GetUnicodeCategory((char)value), (char)value))];

    /// <summary>Classes of ASCII characters, and <see cref="CharacterClass.Other"/> for other bytes.</summary>
    public static readonly CharacterClass[] Ascii = [.. Plane[..0x80], .. new CharacterClass[0x80]];

    /// <summary>The class of the code point that begins at a position of valid UTF-8, and its bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static CharacterClass At(ReadOnlySpan<byte> text, int position, out int length)
    {
        var first = text[position];
        if (first < 0x80)
        {
            length = 1;
            return Ascii[first];
        }
        return Beyond(text, position, out length);
    }

    private static CharacterClass Beyond(ReadOnlySpan<byte> text, int position, out int length)
    {
        var first = text[position];
        if (first < 0xE0)
        {
            length = 2;
            return Plane[(first & 0x1F) << 6 | text[position + 1] & 0x3F];
        }
        if (first < 0xF0)
        {
            length = 3;
            return Plane[(first & 0x0F) << 12 | (text[position + 1] & 0x3F) << 6 | text[position + 2] & 0x3F];
        }
        length = 4;
        var value = (first & 0x07) << 18 | (text[position + 1] & 0x3F) << 12 | (text[position + 2] & 0x3F) << 6 | text[position + 3] & 0x3F;
        return Of(Rune.GetUnicodeCategory(new Rune(value)), '\0');
    }

    private static CharacterClass Of(UnicodeCategory category, char value) => category switch
    {
        UnicodeCategory.UppercaseLetter or UnicodeCategory.TitlecaseLetter => CharacterClass.Letter | CharacterClass.Head,
        UnicodeCategory.LowercaseLetter => CharacterClass.Letter | CharacterClass.Tail,
        UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => CharacterClass.Letter | CharacterClass.Head | CharacterClass.Tail,
        UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark => CharacterClass.Head | CharacterClass.Tail,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => CharacterClass.Number,
        _ when char.IsWhiteSpace(value) => value is '\r' or '\n' ? CharacterClass.Space | CharacterClass.Line : CharacterClass.Space,
        _ => CharacterClass.Other,
    };
}
