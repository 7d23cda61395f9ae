using ICSharpCode.SharpZipLib.GZip;
using Perennial.Core;
using SharpCompress.Compressors.Xz;

namespace Perennial.Data.Sources;

/// <summary>Opens a source file, decompressing by its ending, and tells damage from absence.</summary>
public static class SourceStream
{
    /// <summary>A readable stream of the file's content. Damage surfaces as <see cref="PerennialException"/> (exit 3) while reading.</summary>
    /// <exception cref="PerennialException">Exit 2: the file cannot be opened.</exception>
    public static Stream Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        Stream file;
        try
        {
            file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw PerennialException.Usage($"data source '{path}': cannot be read: {error.Message}", error);
        }
        if (path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase)) return new CheckedStream(new GZipInputStream(file), path, "gzip", file.Length > 0);
        if (path.EndsWith(".zst", StringComparison.OrdinalIgnoreCase)) return new CheckedStream(new ZstdSharp.DecompressionStream(file, leaveOpen: false), path, "zstd", file.Length > 0);
        if (path.EndsWith(".xz", StringComparison.OrdinalIgnoreCase)) return new CheckedStream(new XZStream(file), path, "xz", file.Length > 0);
        return file;
    }

    // Turns a decompressor's exceptions into one line. A truncated archive is damage too, not an early end: the in-box gzip
    // stream takes one for a short file, SharpZipLib checks lengths and sums.
    private sealed class CheckedStream(Stream inner, string path, string format, bool hasBytes) : Stream
    {
        private bool sawData;

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            try
            {
                var read = inner.Read(buffer);
                if (read > 0) sawData = true;
                else if (buffer.Length > 0 && !sawData && !hasBytes) throw new InvalidDataException("the file is empty");
                return read;
            }
            // Each library has exceptions of its own for damage, and broken data may trip any other.
            catch (Exception error) when (error is not (OperationCanceledException or PerennialException))
            {
                throw PerennialException.Damaged($"{path}: broken {format} data: {error.Message.ReplaceLineEndings(" ")}; fetch or compress it again", error);
            }
        }

        // Decompression is work, not waiting: it runs where it is asked for.
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            cancellationToken.IsCancellationRequested ? ValueTask.FromCanceled<int>(cancellationToken) : ValueTask.FromResult(Read(buffer.Span));

        protected override void Dispose(bool disposing)
        {
            if (disposing) inner.Dispose();
            base.Dispose(disposing);
        }

        public override void Flush() { }
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
