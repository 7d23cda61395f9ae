namespace Perennial.Data.Text;

/// <summary>The lines of a text, as spans.</summary>
internal ref struct TextLines(ReadOnlySpan<byte> text)
{
    private readonly ReadOnlySpan<byte> text = text;
    private int next;

    /// <summary>First byte of the present line.</summary>
    public int Start { get; private set; }

    /// <summary>The byte behind it, before its line end.</summary>
    public int End { get; private set; }

    /// <summary>The present line, without its line end.</summary>
    public readonly ReadOnlySpan<byte> Line => text[Start..End];

    /// <summary>A line without blanks, tabs and carriage returns around it.</summary>
    public static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> line)
    {
        var (start, end) = (0, line.Length);
        while (start < end && IsBlank(line[start])) start++;
        while (end > start && IsBlank(line[end - 1])) end--;
        return line[start..end];
    }

    private static bool IsBlank(byte value) => value is (byte)' ' or (byte)'\t' or (byte)'\r';

    /// <summary>Goes to the next line; false behind the last. A line end at the text's end begins no further line.</summary>
    public bool Next()
    {
        if (next >= text.Length) return false;
        Start = next;
        var length = text[next..].IndexOf((byte)'\n');
        End = length < 0 ? text.Length : next + length;
        next = length < 0 ? text.Length : End + 1;
        return true;
    }
}
