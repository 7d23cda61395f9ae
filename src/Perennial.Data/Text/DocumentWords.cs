namespace Perennial.Data.Text;

/// <summary>
/// Where the words of a text are. Kept for the thread's latest text, since several filters in a row ask for the same one: texts
/// are never written to again, so the same memory is the same text.
/// </summary>
internal sealed class DocumentWords
{
    [ThreadStatic]
    private static DocumentWords? latest;

    private ReadOnlyMemory<byte> text;
    private int[] starts = new int[1024], ends = new int[1024];

    /// <summary>Number of words.</summary>
    public int Count { get; private set; }

    /// <summary>First byte of every word, <c>[words]</c>.</summary>
    public ReadOnlySpan<int> Starts => starts.AsSpan(0, Count);

    /// <summary>The byte behind every word, <c>[words]</c>.</summary>
    public ReadOnlySpan<int> Ends => ends.AsSpan(0, Count);

    /// <summary>The words of a text, valid on this thread until it asks for another text's.</summary>
    public static DocumentWords Of(ReadOnlyMemory<byte> text)
    {
        var words = latest ??= new DocumentWords();
        if (!words.text.Equals(text) || text.IsEmpty) words.Scan(text);
        return words;
    }

    private void Scan(ReadOnlyMemory<byte> of)
    {
        (text, Count) = (of, 0);
        // A giant document's tables are not kept for small ones.
        if (starts.Length > 1 << 20 && of.Length < 1 << 20) (starts, ends) = (new int[1024], new int[1024]);
        var ended = 0;
        var blocks = new WordBlocks(of.Span);
        while (blocks.Next())
        {
            if (Count + WordBlocks.Length > starts.Length)
            {
                Array.Resize(ref starts, starts.Length * 2);
                Array.Resize(ref ends, ends.Length * 2);
            }
            Count += BitPositions.Write(blocks.Starts, blocks.At, starts.AsSpan(Count));
            ended += BitPositions.Write(blocks.Ends, blocks.At, ends.AsSpan(ended));
        }
        if (ended < Count) ends[ended] = of.Length;
    }
}
