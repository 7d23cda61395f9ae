using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Perennial.Data.Text;

/// <summary>
/// What document rules count of words, found 64 bytes at a time without looking at words one by one. A word is a stretch of bytes above 0x20; its
/// plain form lacks the punctuation around it (ASCII bytes that are neither letters nor digits).
/// </summary>
/// <param name="Words">Words.</param>
/// <param name="Plain">Words that are not all punctuation.</param>
/// <param name="Characters">Characters of all plain forms.</param>
/// <param name="Lettered">Words with a letter (of any script: bytes above ASCII count).</param>
internal readonly record struct WordCounts(int Words, int Plain, long Characters, int Lettered)
{
    /// <summary>Counts a text.</summary>
    public static WordCounts Of(ReadOnlySpan<byte> text)
    {
        var (words, plain, lettered, characters) = (0, 0, 0, 0L);
        // Of the block before: whether a word was open at its end, and was all punctuation, or without a letter, so far.
        ulong open = 0, leading = 0, bare = 0, before = 0;
        Span<byte> rest = stackalloc byte[64];
        for (var at = 0; at < text.Length; at += 64)
        {
            scoped ref byte first = ref MemoryMarshal.GetReference(text[at..]);
            if (text.Length - at < 64)
            {
                rest.Fill((byte)' ');
                text[at..].CopyTo(rest);
                first = ref MemoryMarshal.GetReference(rest);
            }
            Masks(ref first, out var inside, out var letters, out var digits, out var continued);
            var starts = inside & ~(inside << 1 | open);
            var ends = inside & ~(inside >> 1 | (at + 64 < text.Length && text[at + 64] > ' ' ? 1UL << 63 : 0));
            words += BitOperations.PopCount(starts);
            // Adding a bit where a word begins carries it through the punctuation there, onto the first byte that is none.
            var signs = inside & ~(letters | digits);
            var (sum, carry) = Add(signs, starts | leading);
            var landed = sum & ~signs;
            plain += BitOperations.PopCount(landed & (letters | digits));
            var lead = BitOperations.PopCount(signs & ~sum);
            characters += BitOperations.PopCount(inside & ~continued) - lead;
            for (var behind = landed & ~inside; behind != 0; behind &= behind - 1) characters += SignsBefore(text, at + BitOperations.TrailingZeroCount(behind));
            leading = carry;
            for (var trailing = signs & ends; trailing != 0; trailing = trailing >> 1 & signs)
            {
                characters -= BitOperations.PopCount(trailing);
                // Punctuation at a word's end that began in the block before.
                if ((trailing & 1) != 0 && (before & 1UL << 63) != 0) characters -= SignsBefore(text, at);
            }
            var others = inside & ~letters;
            (sum, carry) = Add(others, starts | bare);
            lettered += BitOperations.PopCount(sum & ~others & letters);
            bare = carry;
            open = inside >> 63;
            before = signs;
        }
        // A word of punctuation that the text's last whole block ends with.
        if (leading != 0) characters += SignsBefore(text, text.Length);
        return new WordCounts(words, plain, characters, lettered);
    }

    private static (ulong Sum, ulong Carry) Add(ulong one, ulong other)
    {
        var sum = one + other;
        return (sum, sum < one ? 1UL : 0);
    }

    // Bytes of punctuation right before a place.
    private static int SignsBefore(ReadOnlySpan<byte> text, int end)
    {
        var start = end;
        while (start > 0 && text[start - 1] is > (byte)' ' and < 0x80 and var value && !char.IsAsciiLetterOrDigit((char)value)) start--;
        return end - start;
    }

    private static void Masks(ref byte first, out ulong inside, out ulong letters, out ulong digits, out ulong continued)
    {
        Masks(Vector256.LoadUnsafe(ref first), out var inside0, out var letters0, out var digits0, out var continued0);
        Masks(Vector256.LoadUnsafe(ref first, 32), out var inside1, out var letters1, out var digits1, out var continued1);
        inside = inside0 | (ulong)inside1 << 32;
        letters = letters0 | (ulong)letters1 << 32;
        digits = digits0 | (ulong)digits1 << 32;
        continued = continued0 | (ulong)continued1 << 32;
    }

    private static void Masks(Vector256<byte> bytes, out uint inside, out uint letters, out uint digits, out uint continued)
    {
        var high = bytes.ExtractMostSignificantBits();
        inside = Vector256.GreaterThan(bytes, Vector256.Create((byte)' ')).ExtractMostSignificantBits();
        letters = high | Vector256.LessThanOrEqual((bytes | Vector256.Create((byte)0x20)) - Vector256.Create((byte)'a'), Vector256.Create((byte)25)).ExtractMostSignificantBits();
        digits = Vector256.LessThanOrEqual(bytes - Vector256.Create((byte)'0'), Vector256.Create((byte)9)).ExtractMostSignificantBits();
        continued = Vector256.LessThan(bytes.AsSByte(), Vector256.Create((sbyte)-64)).ExtractMostSignificantBits();
    }
}
