namespace Perennial.Data.Sources;

/// <summary>The unread part of a stream in memory: grows until a document's end is in sight, and forgets what was taken.</summary>
/// <param name="stream">What is read; the caller disposes it.</param>
/// <param name="path">Named in errors.</param>
internal sealed class GrowingBuffer(Stream stream, string path)
{
    private byte[] bytes = new byte[1 << 17];
    private int start, end;

    /// <summary>Largest record kept in memory; a longer one is set aside. Bounds memory whatever a file holds.</summary>
    public const int LargestRecord = 128 << 20;

    /// <summary>Offset in the file's content of the first unread byte.</summary>
    public long Offset { get; private set; }

    /// <summary>Whether the stream has no more than <see cref="Unread"/>.</summary>
    public bool Ended { get; private set; }

    /// <summary>What was read and not yet taken.</summary>
    public ReadOnlySpan<byte> Unread => bytes.AsSpan(start, end - start);

    /// <summary>
    /// Reads more: at least half as much again, so that searching what is there over and over stays linear. Where it is called: a file's asynchronous
    /// read is one that a thread of the pool makes, which then spins for its next one and takes a third of a core from who works on the text.
    /// </summary>
    public void Fill(CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        if (start > 0 && start >= end / 2)
        {
            bytes.AsSpan(start, end - start).CopyTo(bytes);
            (start, end) = (0, end - start);
        }
        var wanted = end + Math.Max(1, Unread.Length / 2);
        while (end < wanted && !Ended)
        {
            if (end == bytes.Length)
            {
                if (bytes.Length == Array.MaxLength) throw new InvalidOperationException($"{path}: a reader let a record grow beyond {LargestRecord} bytes");
                Array.Resize(ref bytes, (int)Math.Min(Array.MaxLength, bytes.Length * 2L));
            }
            var read = stream.Read(bytes.AsSpan(end));
            end += read;
            Ended = read == 0;
        }
    }

    /// <summary>Takes the first unread bytes as a copy of their own.</summary>
    public byte[] Take(int count)
    {
        var taken = bytes.AsSpan(start, count).ToArray();
        Skip(count);
        return taken;
    }

    /// <summary>Passes over the first unread bytes.</summary>
    public void Skip(int count)
    {
        start += count;
        Offset += count;
    }
}
