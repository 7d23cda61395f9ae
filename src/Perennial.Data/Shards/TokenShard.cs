using System.IO.Hashing;
using System.IO.MemoryMappedFiles;
using System.Runtime.Intrinsics.X86;
using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Shards;

/// <summary>
/// A memory-mapped file of tokens with its documents: header, tokens (padded to 8 bytes), document starts (u64 ×
/// documents + 1, in tokens), origins (path number, record, line, offset, bytes: u64 × 5 × documents), score columns (f64 × documents each),
/// name table (JSON). Nothing but the name table is parsed; the checksum is verified when a shard is opened. Thread-safe.
/// </summary>
public sealed unsafe class TokenShard : IDisposable
{
    private const int FetchedBytes = 4096;

    private readonly MemoryMappedFile map;
    private readonly MemoryMappedViewAccessor view;
    private readonly TokenShardHeader header;
    private readonly TokenShardNames names;
    private readonly ulong* starts;
    private readonly ulong* origins;
    private readonly double* scores;
    private byte* data;

    private TokenShard(string path, MemoryMappedFile map, MemoryMappedViewAccessor view, byte* data, long fileLength)
    {
        (Path, this.map, this.view) = (path, map, view);
        this.data = data;
        var bytes = new ReadOnlySpan<byte>(data, TokenShardHeader.Bytes);
        header = TokenShardHeader.Read(bytes, (ulong)fileLength, out var problem);
        if (problem is not null) throw Damage(problem);
        Checksum = Convert.ToHexStringLower(bytes[TokenShardHeader.ChecksumOffset..]);
        if (Checksum != Convert.ToHexStringLower(Hash(data, fileLength))) throw Damage("does not match its checksum");
        starts = (ulong*)(data + TokenShardHeader.Bytes + header.TokenBytes);
        origins = starts + Documents + 1;
        scores = (double*)(origins + TokenShardHeader.OriginWords * Documents);
        names = JsonSerializer.Deserialize<TokenShardNames>(new ReadOnlySpan<byte>(scores + header.ScoreColumns * Documents, checked((int)header.NameBytes))) ?? throw Damage("has no name table");
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Number of tokens, the end-of-text ones included.</summary>
    public long Tokens => (long)header.Tokens;

    /// <summary>Number of documents.</summary>
    public long Documents => (long)header.Documents;

    /// <summary>UTF-8 bytes of the text that the tokens stand for.</summary>
    public long TextBytes => (long)header.TextBytes;

    /// <summary>XXH128 of the content, hex.</summary>
    public string Checksum { get; }

    /// <summary>Names of the scores that every document has.</summary>
    public IReadOnlyList<string> ScoreNames => names.Scores;

    /// <summary>A score of every document, <c>[documents]</c>; null when there is no score of that name.</summary>
    public double[]? Scores(string name)
    {
        var column = names.Scores.TakeWhile(candidate => candidate != name).Count();
        if (column == names.Scores.Count) return null;
        ObjectDisposedException.ThrowIf(data is null, this);
        return new ReadOnlySpan<double>(scores + column * Documents, checked((int)Documents)).ToArray();
    }

    /// <summary>First token of a document; <c>DocumentStart(Documents)</c> is <see cref="Tokens"/>.</summary>
    public long DocumentStart(long document)
    {
        Check(document, Documents);
        return (long)starts[document];
    }

    /// <summary>Where a document came from.</summary>
    public Provenance Origin(long document)
    {
        Check(document, Documents - 1);
        var origin = origins + TokenShardHeader.OriginWords * document;
        return new Provenance(names.Paths[(int)origin[0]], (long)origin[1], (long)origin[2]) { Offset = (long)origin[3], Bytes = (long)origin[4] };
    }

    /// <summary>The document that holds a token.</summary>
    public long DocumentOf(long token)
    {
        Check(token, Tokens - 1);
        var (low, high) = (0L, Documents - 1);
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if ((long)starts[middle] <= token) low = middle;
            else high = middle - 1;
        }
        return low;
    }

    /// <summary>The ids of one document, without the end-of-text that closes it.</summary>
    public int[] Document(long document)
    {
        var first = DocumentStart(document);
        var ids = new long[DocumentStart(document + 1) - first - 1];
        Read(first, ids);
        return Array.ConvertAll(ids, id => (int)id);
    }

    /// <summary>How many windows before it is read one is asked for: long enough to hide memory's delay, short enough that it is still in the first cache.</summary>
    /// <param name="window">Tokens of a window.</param>
    public static int Ahead(int window) => Math.Clamp(FetchedBytes / sizeof(ushort) / window, 1, 4);

    /// <summary>Copies tokens out.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the shard.</exception>
    public void Read(long first, Span<long> destination) => Read(first, destination, first);

    /// <summary>Copies tokens out, and meanwhile asks for as many others that are read later.</summary>
    /// <param name="first">The first token.</param>
    /// <param name="destination">Receives the ids.</param>
    /// <param name="later">The first token of the others.</param>
    /// <exception cref="ArgumentOutOfRangeException">A range is not inside the shard.</exception>
    public void Read(long first, Span<long> destination, long later)
    {
        Check(first, Tokens - destination.Length);
        Check(later, Tokens - destination.Length);
        var tokens = data + TokenShardHeader.Bytes;
        if (header.Width == 2) TokenWidening.Widen((ushort*)tokens + first, destination, (ushort*)tokens + later);
        else TokenWidening.Widen((uint*)tokens + first, destination, (uint*)tokens + later);
    }

    /// <summary>Copies tokens as they are stored (<see cref="TokenShardHeader"/>'s width): the machine's part of reading.</summary>
    internal void Copy(long first, Span<byte> destination)
    {
        Check(first, Tokens - destination.Length / header.Width);
        new ReadOnlySpan<byte>(data + TokenShardHeader.Bytes + first * header.Width, destination.Length).CopyTo(destination);
    }

    /// <summary>Reads a byte of every page, so that what the system has paged out is back.</summary>
    internal long Touch()
    {
        Check(0, Tokens);
        var sum = 0L;
        for (var at = 0L; at < (long)header.TokenBytes; at += 4096) sum += data[TokenShardHeader.Bytes + at];
        return sum;
    }

    /// <summary>Asks for tokens that will be read soon, so that they are on their way from memory. Changes nothing.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the shard.</exception>
    public void Fetch(long first, int count)
    {
        Check(first, Tokens - count);
        if (!Sse.IsSupported) return;
        var from = data + TokenShardHeader.Bytes + first * header.Width;
        var until = from + Math.Min((long)count * header.Width, FetchedBytes);
        for (var at = from; at < until; at += 64) Sse.Prefetch0(at);
    }

    /// <summary>Maps a shard and verifies its checksum.</summary>
    /// <exception cref="PerennialException">Exit 3: missing, truncated or damaged.</exception>
    public static TokenShard Open(string path)
    {
        var length = new FileInfo(path) is { Exists: true } info ? info.Length : throw Damage(path, "is missing");
        if (length < TokenShardHeader.Bytes) throw Damage(path, "is truncated");
        var map = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        var view = map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        byte* data = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref data);
        try
        {
            return new TokenShard(path, map, view, data, length);
        }
        catch
        {
            Release(map, view);
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (data is null) return;
        data = null;
        Release(map, view);
    }

    private static byte[] Hash(byte* file, long length)
    {
        var hash = new XxHash128();
        for (long done = TokenShardHeader.Bytes; done < length; done += 1 << 28) hash.Append(new ReadOnlySpan<byte>(file + done, (int)Math.Min(1 << 28, length - done)));
        hash.Append(new ReadOnlySpan<byte>(file, TokenShardHeader.ChecksumOffset));
        return hash.GetCurrentHash();
    }

    private static void Release(MemoryMappedFile map, MemoryMappedViewAccessor view)
    {
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        map.Dispose();
    }

    // Pointers are read below: an index out of range, or a shard closed already, must be an exception and not a crash.
    private void Check(long index, long last)
    {
        ObjectDisposedException.ThrowIf(data is null, this);
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(index, last);
    }

    private PerennialException Damage(string problem) => Damage(Path, problem);

    private static PerennialException Damage(string path, string problem) =>
        PerennialException.Damaged($"{path}: the token shard {problem}; delete the folder '{System.IO.Path.GetDirectoryName(path)}' and run again to prepare it anew");
}
