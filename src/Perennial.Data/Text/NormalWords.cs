using System.Runtime.CompilerServices;

namespace Perennial.Data.Text;

/// <summary>
/// The words of a text as comparing operators see them: letters lower-cased (ASCII, Latin-1 and the other two-byte alphabets by
/// their bytes as they stand), every digit a 0, punctuation gone; a character of a script without spaces is a word by itself.
/// </summary>
internal ref struct NormalWords(ReadOnlySpan<byte> text)
{
    // What a byte becomes: 0 ends a word, anything else belongs to it.
    private static readonly byte[] Plain = MakePlain();

    private readonly ReadOnlySpan<byte> text = text;
    private int at;

    /// <summary>First byte of the present word.</summary>
    public int Start { get; private set; }

    /// <summary>The byte behind it.</summary>
    public int End => at;

    /// <summary>The hash of the next word; false at the text's end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Next(out ulong hash)
    {
        var i = at;
        while (i < text.Length && Plain[text[i]] == 0) i += text[i] == 0xE2 ? Math.Min(3, text.Length - i) : text[i] == 0xC2 ? Math.Min(2, text.Length - i) : 1;
        hash = 0x9E3779B97F4A7C15;
        if (i >= text.Length)
        {
            at = i;
            return false;
        }
        Start = i;
        if (text[i] >= 0xE3)
        {
            // Ideographs, kana, Hangul, Thai and everything above: one character, one word.
            var length = text[i] >= 0xF0 ? 4 : 3;
            for (var end = Math.Min(text.Length, i + length); i < end; i++) hash = (hash ^ text[i]) * 0xD6E8FEB86659FD93;
        }
        else
        {
            for (byte value; i < text.Length && (value = Plain[text[i]]) != 0 && text[i] < 0xE3; i++) hash = (hash ^ value) * 0xD6E8FEB86659FD93;
        }
        at = i;
        hash = WordHash.Mix(hash);
        return true;
    }

    private static byte[] MakePlain()
    {
        var plain = new byte[256];
        for (var value = 0; value < 256; value++)
        {
            plain[value] = value switch
            {
                >= 'a' and <= 'z' => (byte)value,
                >= 'A' and <= 'Z' => (byte)(value | 0x20),
                >= '0' and <= '9' => (byte)'0',
                // E2 leads general punctuation, C2 the signs of Latin-1.
                0xE2 or 0xC2 => 0,
                >= 0x80 => (byte)value,
                _ => 0,
            };
        }
        return plain;
    }
}
