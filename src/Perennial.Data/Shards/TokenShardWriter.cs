using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text.Json;
using Perennial.Core;

namespace Perennial.Data.Shards;

/// <summary>Writes a <see cref="TokenShard"/>: tokens stream to disk, tables follow, the header comes last.</summary>
public sealed class TokenShardWriter
{
    private readonly FileStream stream;
    private readonly XxHash128 hash = new();
    private readonly int width;
    private readonly List<ulong> starts = [0];
    private readonly List<ulong> origins = [];
    private readonly List<string> paths = [];
    private readonly Dictionary<string, int> pathNumbers = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, List<double>> scores = new(StringComparer.Ordinal);
    private byte[] buffer = [];
    private ulong textBytes;

    /// <summary>Begins a shard at the stream's start.</summary>
    /// <param name="stream">A seekable, writable stream (<see cref="AtomicFile.Write"/> gives one).</param>
    /// <param name="vocabulary">Size of the vocabulary: up to 65,536 takes two bytes a token, more takes four.</param>
    public TokenShardWriter(FileStream stream, int vocabulary)
    {
        ArgumentNullException.ThrowIfNull(stream);
        this.stream = stream;
        width = vocabulary <= 65536 ? 2 : 4;
        stream.Write(new byte[TokenShardHeader.Bytes]);
    }

    private long Documents => starts.Count - 1;

    /// <summary>Appends one document; its ids end with end-of-text.</summary>
    public void Add(Document document, ReadOnlySpan<int> ids) => Add(document, document?.Text.Length ?? 0, ids);

    /// <summary>Appends one document whose text is not at hand any more, only its length in bytes.</summary>
    public void Add(Document document, int documentBytes, ReadOnlySpan<int> ids)
    {
        ArgumentNullException.ThrowIfNull(document);
        if (buffer.Length < ids.Length * width) buffer = new byte[ids.Length * width * 2];
        var bytes = buffer.AsSpan(0, ids.Length * width);
        if (width == 2)
        {
            var narrow = MemoryMarshal.Cast<byte, ushort>(bytes);
            for (var i = 0; i < ids.Length; i++) narrow[i] = (ushort)ids[i];
        }
        else
            MemoryMarshal.AsBytes(ids).CopyTo(bytes);
        Append(bytes);
        foreach (var (name, score) in document.Scores)
        {
            // A score that some documents lack orders nothing: a column lives only while every document has it.
            if (!scores.TryGetValue(name, out var column)) scores[name] = column = [];
            if (column.Count == Documents) column.Add(score);
        }
        if (!pathNumbers.TryGetValue(document.Origin.Path, out var path))
        {
            pathNumbers[document.Origin.Path] = path = paths.Count;
            paths.Add(document.Origin.Path);
        }
        origins.AddRange([(ulong)path, (ulong)document.Origin.Record, (ulong)document.Origin.Line, (ulong)document.Origin.Offset, (ulong)document.Origin.Bytes]);
        starts.Add(starts[^1] + (ulong)ids.Length);
        textBytes += (ulong)documentBytes;
    }

    /// <summary>Writes the tables and the header. Returns the checksum, hex.</summary>
    public string Complete()
    {
        var complete = scores.Where(pair => pair.Value.Count == Documents).ToList();
        var names = JsonSerializer.SerializeToUtf8Bytes(new TokenShardNames(paths, [.. complete.Select(pair => pair.Key)]));
        var header = new TokenShardHeader((uint)width, starts[^1], (ulong)Documents, textBytes, (uint)complete.Count, (uint)names.Length);
        Append(new byte[header.TokenBytes - header.Tokens * header.Width]);
        AppendTable(starts);
        AppendTable(origins);
        foreach (var (_, column) in complete) AppendTable(column);
        Append(names);
        var bytes = new byte[TokenShardHeader.Bytes];
        header.Write(bytes);
        hash.Append(bytes.AsSpan(0, TokenShardHeader.ChecksumOffset));
        hash.GetCurrentHash().CopyTo(bytes.AsSpan(TokenShardHeader.ChecksumOffset));
        stream.Position = 0;
        stream.Write(bytes);
        return Convert.ToHexStringLower(bytes.AsSpan(TokenShardHeader.ChecksumOffset));
    }

    private void AppendTable<T>(List<T> table)
        where T : unmanaged
    {
        // In slices: a table may be longer than a span of bytes can be.
        var values = CollectionsMarshal.AsSpan(table);
        for (var done = 0; done < values.Length; done += 1 << 20) Append(MemoryMarshal.AsBytes(values[done..Math.Min(values.Length, done + (1 << 20))]));
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        hash.Append(bytes);
        stream.Write(bytes);
    }
}
