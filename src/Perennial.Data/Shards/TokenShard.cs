using System.Buffers.Binary;
using System.IO.Hashing;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Shards;

/// <summary>
/// A memory-mapped file of tokens. Little-endian layout: 64-byte header (magic <c>PRNTOKEN</c>, version u32, bytes a token u32,
/// tokens u64, documents u64, UTF-8 bytes of text u64, side-table bytes u64, XXH128 of everything after the header and then of
/// the header before this field), then the tokens, then document starts (u64 × documents + 1, in tokens), then the side table (JSON: origins and scores). The
/// checksum is verified when a shard is opened. Thread-safe.
/// </summary>
public sealed unsafe class TokenShard : IDisposable
{
    internal const int HeaderBytes = 64;
    internal const int ChecksumOffset = 48;
    internal const uint Version = 1;
    internal static ReadOnlySpan<byte> Magic => "PRNTOKEN"u8;

    private readonly MemoryMappedFile map;
    private readonly MemoryMappedViewAccessor view;
    private readonly byte* data;
    private readonly int width;
    private readonly ulong* starts;
    private readonly Lazy<ShardSideTable> side;

    private TokenShard(string path, MemoryMappedFile map, MemoryMappedViewAccessor view, byte* data, long fileLength)
    {
        (Path, this.map, this.view) = (path, map, view);
        this.data = data;
        var header = new ReadOnlySpan<byte>(data, HeaderBytes);
        if (!header.StartsWith(Magic)) throw Damage("is not a token shard");
        var version = BinaryPrimitives.ReadUInt32LittleEndian(header[8..]);
        if (version != Version) throw Damage($"has version {version}, this program reads {Version}");
        width = (int)BinaryPrimitives.ReadUInt32LittleEndian(header[12..]);
        var (tokens, documents) = (BinaryPrimitives.ReadUInt64LittleEndian(header[16..]), BinaryPrimitives.ReadUInt64LittleEndian(header[24..]));
        TextBytes = (long)BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
        var sideBytes = BinaryPrimitives.ReadUInt64LittleEndian(header[40..]);
        var length = (ulong)fileLength;
        if (width is not 2 and not 4 || tokens > length || documents > length || sideBytes > length
            || Padded(tokens * (ulong)width) + (documents + 1) * 8 + sideBytes + HeaderBytes != length) throw Damage("is truncated or has a damaged header");
        Checksum = Convert.ToHexStringLower(header[ChecksumOffset..]);
        if (Checksum != Convert.ToHexStringLower(HashAll(data, fileLength))) throw Damage("does not match its checksum");
        (Tokens, Documents) = ((long)tokens, (long)documents);
        starts = (ulong*)(data + HeaderBytes + (long)Padded(tokens * (ulong)width));
        var sideStart = (byte*)(starts + Documents + 1);
        side = new(() => JsonSerializer.Deserialize<ShardSideTable>(new ReadOnlySpan<byte>(sideStart, (int)sideBytes)) ?? throw Damage("has no side table"));
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Number of tokens, the end-of-text ones included.</summary>
    public long Tokens { get; }

    /// <summary>Number of documents.</summary>
    public long Documents { get; }

    /// <summary>UTF-8 bytes of the text that the tokens stand for.</summary>
    public long TextBytes { get; }

    /// <summary>XXH128 of the content, hex.</summary>
    public string Checksum { get; }

    /// <summary>Scores every document has, by name, <c>[documents]</c>.</summary>
    public IReadOnlyDictionary<string, double[]> Scores => side.Value.Scores;

    /// <summary>First token of a document; <c>DocumentStart(Documents)</c> is <see cref="Tokens"/>.</summary>
    public long DocumentStart(long document)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(document);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(document, Documents);
        return (long)starts[document];
    }

    /// <summary>Where a document came from.</summary>
    public Provenance Origin(long document)
    {
        var origin = side.Value.Origins[(int)document];
        return new Provenance(side.Value.Paths[(int)origin[0]], origin[1], origin[2]);
    }

    /// <summary>The document that holds a token.</summary>
    public long DocumentOf(long token)
    {
        var (low, high) = (0L, Documents - 1);
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if ((long)starts[middle] <= token) low = middle;
            else high = middle - 1;
        }
        return low;
    }

    /// <summary>Copies tokens out.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside the shard.</exception>
    public void Read(long first, Span<long> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, Tokens - destination.Length);
        var tokens = data + HeaderBytes;
        if (width == 2)
        {
            var source = (ushort*)tokens + first;
            for (var i = 0; i < destination.Length; i++) destination[i] = source[i];
        }
        else
        {
            var source = (uint*)tokens + first;
            for (var i = 0; i < destination.Length; i++) destination[i] = source[i];
        }
    }

    /// <summary>Maps a shard and verifies its checksum.</summary>
    /// <exception cref="PerennialException">Exit 3: damaged.</exception>
    public static TokenShard Open(string path)
    {
        var length = new FileInfo(path) is { Exists: true } info ? info.Length : throw PerennialException.Damaged($"{path}: the token shard is missing; delete its folder to prepare it again");
        if (length < HeaderBytes) throw PerennialException.Damaged($"{path}: the token shard is truncated; delete its folder to prepare it again");
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
    public void Dispose() => Release(map, view);

    internal static ulong Padded(ulong bytes) => (bytes + 7) / 8 * 8;

    private static byte[] HashAll(byte* file, long length)
    {
        var hash = new XxHash128();
        for (long done = HeaderBytes; done < length; done += 1 << 28) hash.Append(new ReadOnlySpan<byte>(file + done, (int)Math.Min(1 << 28, length - done)));
        hash.Append(new ReadOnlySpan<byte>(file, ChecksumOffset));
        return hash.GetCurrentHash();
    }

    private static void Release(MemoryMappedFile map, MemoryMappedViewAccessor view)
    {
        view.SafeMemoryMappedViewHandle.ReleasePointer();
        view.Dispose();
        map.Dispose();
    }

    private PerennialException Damage(string problem) => PerennialException.Damaged($"{Path}: the token shard {problem}; delete its folder to prepare it again");
}

/// <summary>What a shard knows of its documents beside their tokens.</summary>
/// <param name="Paths">Source files.</param>
/// <param name="Origins">For every document: index into <paramref name="Paths"/>, record, line.</param>
/// <param name="Scores">Scores that every document has, by name.</param>
public sealed record ShardSideTable(IReadOnlyList<string> Paths, IReadOnlyList<long[]> Origins, IReadOnlyDictionary<string, double[]> Scores);
