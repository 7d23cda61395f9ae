using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Shards;

/// <summary>Writes a <see cref="TokenShard"/>: tokens stream to disk, the header comes last, the file appears whole or not at all.</summary>
/// <param name="stream">A seekable, writable stream (<see cref="AtomicFile.Write"/> gives one).</param>
/// <param name="vocabulary">Size of the vocabulary: up to 65,536 takes two bytes a token.</param>
public sealed class TokenShardWriter(FileStream stream, int vocabulary)
{
    private readonly XxHash128 hash = new();
    private readonly int width = vocabulary <= 65536 ? 2 : 4;
    private readonly List<ulong> starts = [0];
    private readonly List<string> paths = [];
    private readonly Dictionary<string, int> pathNumbers = new(StringComparer.Ordinal);
    private readonly List<long[]> origins = [];
    private readonly Dictionary<string, List<double>> scores = new(StringComparer.Ordinal);
    private ulong tokens;
    private long textBytes;

    /// <summary>Begins a shard at the stream's start.</summary>
    public void Begin() => stream.Write(new byte[TokenShard.HeaderBytes]);

    /// <summary>Appends one document; its ids end with end-of-text.</summary>
    public void Add(Document document, ReadOnlySpan<int> ids)
    {
        ArgumentNullException.ThrowIfNull(document);
        var bytes = new byte[ids.Length * width];
        if (width == 2)
        {
            var narrow = MemoryMarshal.Cast<byte, ushort>(bytes.AsSpan());
            for (var i = 0; i < ids.Length; i++) narrow[i] = (ushort)ids[i];
        }
        else
            MemoryMarshal.AsBytes(ids).CopyTo(bytes);
        Append(bytes);
        tokens += (ulong)ids.Length;
        textBytes += document.Text.Length;
        starts.Add(tokens);
        if (!pathNumbers.TryGetValue(document.Origin.Path, out var path))
        {
            pathNumbers[document.Origin.Path] = path = paths.Count;
            paths.Add(document.Origin.Path);
        }
        origins.Add([path, document.Origin.Record, document.Origin.Line]);
        foreach (var (name, score) in document.Scores)
        {
            if (!scores.TryGetValue(name, out var list)) scores[name] = list = [];
            if (list.Count == origins.Count - 1) list.Add(score);
        }
    }

    /// <summary>Writes the tables and the header.</summary>
    public void Complete()
    {
        var padding = TokenShard.Padded(tokens * (ulong)width) - tokens * (ulong)width;
        Append(new byte[padding]);
        Append(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(starts)));
        // A score that some documents lack orders nothing: only complete ones are kept.
        var complete = scores.Where(pair => pair.Value.Count == origins.Count).ToDictionary(pair => pair.Key, pair => pair.Value.ToArray(), StringComparer.Ordinal);
        var side = JsonSerializer.SerializeToUtf8Bytes(new ShardSideTable(paths, origins, complete));
        Append(side);
        var header = new byte[TokenShard.HeaderBytes];
        TokenShard.Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(8), TokenShard.Version);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(12), (uint)width);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(16), tokens);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(24), (ulong)origins.Count);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(32), (ulong)textBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(40), (ulong)side.Length);
        hash.Append(header.AsSpan(0, TokenShard.ChecksumOffset));
        hash.GetCurrentHash().CopyTo(header.AsSpan(TokenShard.ChecksumOffset));
        stream.Position = 0;
        stream.Write(header);
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        hash.Append(bytes);
        stream.Write(bytes);
    }
}
