namespace Perennial.Data.Tokenizers;

/// <summary>
/// The printable stand-ins that byte-level BPE files use for bytes (Radford et al. 2019, GPT-2's <c>bytes_to_unicode</c>):
/// printable Latin-1 stands for itself, the 68 others for U+0100 onward.
/// </summary>
public static class ByteAlphabet
{
    private static readonly char[] Chars = Make();
    private static readonly Dictionary<char, byte> Bytes = Enumerable.Range(0, 256).ToDictionary(value => Chars[value], value => (byte)value);

    /// <summary>The stand-in text of bytes.</summary>
    public static string ToText(ReadOnlySpan<byte> bytes)
    {
        var text = new char[bytes.Length];
        for (var i = 0; i < bytes.Length; i++) text[i] = Chars[bytes[i]];
        return new string(text);
    }

    /// <summary>The bytes of stand-in text, or null when a character stands for no byte.</summary>
    public static byte[]? ToBytes(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var bytes = new byte[text.Length];
        for (var i = 0; i < text.Length; i++)
        {
            if (!Bytes.TryGetValue(text[i], out bytes[i])) return null;
        }
        return bytes;
    }

    private static char[] Make()
    {
        var chars = new char[256];
        var next = 256;
        for (var value = 0; value < 256; value++)
            chars[value] = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF) ? (char)value : (char)next++;
        return chars;
    }
}
