using System.IO.Hashing;

namespace Perennial.Data.Curation;

/// <summary>Passes bytes on to a stream and hashes them; closing it leaves the stream open, which its owner flushes to disk.</summary>
internal sealed class HashedStream(Stream inner) : Stream
{
    private readonly XxHash128 hash = new();

    /// <summary>XXH128 of what was written, hex.</summary>
    public string Hash => Convert.ToHexStringLower(hash.GetCurrentHash());

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => inner.Length;
    public override long Position { get => inner.Position; set => throw new NotSupportedException(); }

    public override void Flush() => inner.Flush();
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        hash.Append(buffer);
        inner.Write(buffer);
    }
}
