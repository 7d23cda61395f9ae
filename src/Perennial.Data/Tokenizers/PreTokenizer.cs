using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Perennial.Data.Tokenizers.Scanning;

namespace Perennial.Data.Tokenizers;

/// <summary>
/// Cuts bytes into the pieces that merges stay inside, by a regular expression over Unicode code points: the well-known ones are written
/// out as scanners (<see cref="PieceScanner"/>), others are matched. .NET matches UTF-16 units, so every code point is matched as one stand-in character of its own category; bytes that are not UTF-8 stand alone.
/// </summary>
public sealed class PreTokenizer
{
    /// <summary>GPT-2's pattern (Radford et al. 2019, <c>encoder.py</c>).</summary>
    public const string Gpt2Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>No cut at all.</summary>
    public const string WholePattern = @"[\s\S]+";

    /// <summary>Qwen2's pattern: cl100k's with single digits.</summary>
    public const string Qwen2Pattern = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>The pattern of cl100k (also Llama 3).</summary>
    public const string Cl100kPattern = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>The pattern of o200k.</summary>
    public const string O200kPattern = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private readonly Regex? regex;

    /// <summary>Makes one from a pattern.</summary>
    /// <exception cref="ArgumentException">The pattern is not a regular expression.</exception>
    public PreTokenizer(string pattern)
        : this(pattern, PieceScanner.For(pattern))
    {
    }

    /// <summary>With a given scanner; null takes the regular expression even where the pattern is a known one: what scanners are tested against.</summary>
    internal PreTokenizer(string pattern, PieceScanner? scanner)
    {
        (Pattern, Scanner) = (pattern, scanner);
        if (scanner is not null) return;
        // .NET has no possessive quantifiers (a++, a{1,3}+: tiktoken's newer spelling); the greedy ones match the same in these patterns.
        regex = new Regex(Regex.Replace(pattern, @"((?<!\\)[+*?]|\{\d+(?:,\d*)?\})\+", "$1"), RegexOptions.Compiled | RegexOptions.CultureInvariant);
    }

    /// <summary>The pattern.</summary>
    public string Pattern { get; }

    /// <summary>The scanner that stands for the pattern; null for patterns that are not well known.</summary>
    internal PieceScanner? Scanner { get; }

    /// <summary>Calls back for every piece, in order; pieces cover the text exactly.</summary>
    public void Split(ReadOnlySpan<byte> text, PieceHandler handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        if (Scanner is not null) Scan(text, handler);
        else Match(text, handler);
    }

    /// <summary>Bytes of valid UTF-8 at the beginning of a text.</summary>
    internal static int ValidPrefix(ReadOnlySpan<byte> text)
    {
        var position = 0;
        while (position < text.Length && (text[position] < 0x80 || Rune.DecodeFromUtf8(text[position..], out _, out _) == OperationStatus.Done))
            position += text[position] switch { < 0x80 => 1, < 0xE0 => 2, < 0xF0 => 3, _ => 4 };
        return position;
    }

    /// <summary>Bytes at the beginning of a text that are no UTF-8 together; 0 where it begins with valid UTF-8, or is empty.</summary>
    internal static int InvalidPrefix(ReadOnlySpan<byte> text) => !text.IsEmpty && Rune.DecodeFromUtf8(text, out _, out var bad) != OperationStatus.Done ? bad : 0;

    private void Scan(ReadOnlySpan<byte> text, PieceHandler handler)
    {
        while (!text.IsEmpty)
        {
            var valid = text[..ValidPrefix(text)];
            for (int start = 0, end; start < valid.Length; start = end)
            {
                end = Scanner!.Next(valid, start);
                handler(valid[start..end]);
            }
            text = text[valid.Length..];
            for (int bad; (bad = InvalidPrefix(text)) > 0; text = text[bad..]) handler(text[..bad]);
        }
    }

    private void Match(ReadOnlySpan<byte> text, PieceHandler handler)
    {
        var characters = ArrayPool<char>.Shared.Rent(text.Length);
        var offsets = ArrayPool<int>.Shared.Rent(text.Length + 1);
        try
        {
            var start = 0;
            while (start < text.Length)
            {
                var (count, next) = Decode(text, start, characters, offsets);
                offsets[count] = next;
                var last = 0;
                foreach (var match in regex!.EnumerateMatches(characters.AsSpan(0, count)))
                {
                    if (match.Index > last) handler(text[offsets[last]..offsets[match.Index]]);
                    if (match.Length > 0) handler(text[offsets[match.Index]..offsets[match.Index + match.Length]]);
                    last = match.Index + match.Length;
                }
                if (last < count) handler(text[offsets[last]..next]);
                start = next;
                while (start < text.Length && Rune.DecodeFromUtf8(text[start..], out _, out var bad) != OperationStatus.Done)
                {
                    handler(text.Slice(start, bad));
                    start += bad;
                }
            }
        }
        finally
        {
            ArrayPool<char>.Shared.Return(characters);
            ArrayPool<int>.Shared.Return(offsets);
        }
    }

    /// <summary>Takes one piece.</summary>
    public delegate void PieceHandler(ReadOnlySpan<byte> piece);

    private static (int Count, int Next) Decode(ReadOnlySpan<byte> text, int start, char[] characters, int[] offsets)
    {
        var count = 0;
        while (start < text.Length)
        {
            offsets[count] = start;
            if (text[start] < 0x80)
            {
                characters[count++] = (char)text[start++];
                continue;
            }
            if (Rune.DecodeFromUtf8(text[start..], out var rune, out var length) != OperationStatus.Done) break;
            characters[count++] = rune.IsBmp ? (char)rune.Value : StandIn(Rune.GetUnicodeCategory(rune));
            start += length;
        }
        return (count, start);
    }

    private static char StandIn(UnicodeCategory category) => category switch
    {
        UnicodeCategory.UppercaseLetter => 'À',
        UnicodeCategory.LowercaseLetter => 'ß',
        UnicodeCategory.TitlecaseLetter => 'ǅ',
        UnicodeCategory.ModifierLetter => 'ʰ',
        UnicodeCategory.OtherLetter => 'ª',
        UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark => '\u0300',
        UnicodeCategory.DecimalDigitNumber => '\u0660',
        UnicodeCategory.LetterNumber => 'Ⅷ',
        UnicodeCategory.OtherNumber => '²',
        _ => '§',
    };
}
