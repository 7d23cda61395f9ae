namespace Perennial.Data.Sources;

/// <summary>The lines of a stream, with their numbers and offsets; a line too long to keep is passed over in bounded memory.</summary>
internal sealed class LineReader(Stream stream, string path)
{
    private readonly GrowingBuffer buffer = new(stream, path);
    private int length, taken;

    /// <summary>One-based number of the present line.</summary>
    public long Number { get; private set; }

    /// <summary>Offset of its first byte.</summary>
    public long Offset { get; private set; }

    /// <summary>Its bytes without the line's end, valid until the next <see cref="Next"/>; empty when it was <see cref="TooLong"/>.</summary>
    public ReadOnlySpan<byte> Line => buffer.Unread[..length];

    /// <summary>Its length in the file.</summary>
    public long Bytes { get; private set; }

    /// <summary>Whether it was longer than <see cref="GrowingBuffer.LargestRecord"/> and was passed over.</summary>
    public bool TooLong { get; private set; }

    /// <summary>Goes to the next line; false at the end.</summary>
    public bool Next(CancellationToken cancellation)
    {
        buffer.Skip(taken);
        (length, taken, TooLong) = (0, 0, false);
        Offset = buffer.Offset;
        Number++;
        var searched = 0;
        while (true)
        {
            // What was searched for a line's end already is not searched again: a line may be very long.
            var end = buffer.Unread[searched..].IndexOf((byte)'\n');
            if (end >= 0)
            {
                Finish(searched + end, searched + end + 1);
                return true;
            }
            if (buffer.Ended)
            {
                if (buffer.Unread.IsEmpty && !TooLong) return false;
                Finish(buffer.Unread.Length, buffer.Unread.Length);
                return true;
            }
            searched = buffer.Unread.Length;
            if (TooLong || searched > GrowingBuffer.LargestRecord)
            {
                TooLong = true;
                buffer.Skip(searched);
                searched = 0;
            }
            buffer.Fill(cancellation);
        }
    }

    private void Finish(int lineLength, int through)
    {
        (length, taken) = (TooLong ? 0 : lineLength, through);
        Bytes = buffer.Offset + through - Offset;
    }
}
