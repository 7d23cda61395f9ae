using System.Text;
using System.Text.RegularExpressions;

namespace Perennial.Data.Sources;

/// <summary>Where a text is cut into documents: before a paragraph that begins far enough from the document's start, and (chapters) is a heading.</summary>
internal sealed partial class ParagraphCut
{
    private const int PassageBytes = 8 << 10;
    private const int LongestHeading = 80;

    // A title page and its chapter's heading stay together.
    private const int ShortestChapter = 256;

    private readonly int smallest;
    private readonly bool headings;

    private ParagraphCut(int smallest, bool headings) => (this.smallest, this.headings) = (smallest, headings);

    /// <summary>One document, however long.</summary>
    public static ParagraphCut WholeFile { get; } = new(int.MaxValue, false);

    /// <summary>The rule of an option.</summary>
    public static ParagraphCut Of(TextSplit split) => split switch
    {
        TextSplit.File => WholeFile,
        TextSplit.Paragraph => new(1, false),
        TextSplit.Chapter => new(ShortestChapter, true),
        _ => new(PassageBytes, false),
    };

    /// <summary>Length of the first document of <paramref name="text"/>; 0 when there is no text left; −1 when more of it must be seen first.</summary>
    public int Find(ReadOnlySpan<byte> text, bool ended)
    {
        if (text.Length <= smallest) return ended ? text.Length : -1;
        var position = smallest - 1;
        while (true)
        {
            var found = text[position..].IndexOf("\n\n"u8);
            // Only what lies before matters: the rest of the buffer would be searched again for every document.
            var foundWindows = (found < 0 ? text[position..] : text.Slice(position, found + 2)).IndexOf("\n\r\n"u8);
            if (found < 0 && foundWindows < 0) return ended ? text.Length : -1;
            position += found < 0 || (foundWindows >= 0 && foundWindows < found) ? foundWindows + 3 : found + 2;
            while (position < text.Length && text[position] is (byte)'\n' or (byte)'\r') position++;
            // Until the next paragraph has begun, blank lines may still follow.
            if (position == text.Length) return ended ? position : -1;
            if (position < smallest) continue;
            if (!headings) return position;
            if (text.Length - position <= LongestHeading && !ended) return -1;
            if (IsHeading(text[position..])) return position;
        }
    }

    private static bool IsHeading(ReadOnlySpan<byte> paragraph)
    {
        var end = paragraph.IndexOf((byte)'\n');
        if (end < 0) end = paragraph.Length;
        return end <= LongestHeading && Heading().IsMatch(Encoding.UTF8.GetString(paragraph[..end]));
    }

    [GeneratedRegex(@"^[\s#*_]*(chapter|book|part|volume|letter|section|act|scene|canto|prologue|epilogue|preface|introduction|appendix)\b", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Heading();
}
