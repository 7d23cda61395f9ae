using System.Buffers.Binary;

namespace Perennial.Data.Shards;

/// <summary>
/// The first 64 bytes of a token shard, little-endian: magic <c>PRNTOKEN</c>, version u32, bytes a token u32 (2 or 4), tokens
/// u64, documents u64, UTF-8 bytes of text u64, score columns u32, bytes of the name table u32, XXH128 (16 bytes) of everything
/// after the header followed by the header's first 48 bytes.
/// </summary>
/// <param name="Width">Bytes a token.</param>
/// <param name="Tokens">Tokens.</param>
/// <param name="Documents">Documents.</param>
/// <param name="TextBytes">UTF-8 bytes that the tokens stand for.</param>
/// <param name="ScoreColumns">Named scores of every document.</param>
/// <param name="NameBytes">Bytes of the name table at the file's end.</param>
internal readonly record struct TokenShardHeader(uint Width, ulong Tokens, ulong Documents, ulong TextBytes, uint ScoreColumns, uint NameBytes)
{
    public const int Bytes = 64;
    public const int ChecksumOffset = 48;
    public const uint Version = 3;

    /// <summary>64-bit words that say where a document came from: path number, record, line, offset, bytes.</summary>
    public const int OriginWords = 5;

    public static ReadOnlySpan<byte> Magic => "PRNTOKEN"u8;

    /// <summary>Bytes of the token part, padded so that the tables behind it are aligned.</summary>
    public ulong TokenBytes => (Tokens * Width + 7) / 8 * 8;

    /// <summary>What the whole file must measure.</summary>
    public ulong FileBytes => Bytes + TokenBytes + 8 * (Documents + 1) + 8 * OriginWords * Documents + 8 * ScoreColumns * Documents + NameBytes;

    /// <summary>Reads and checks a header.</summary>
    /// <param name="header">At least <see cref="Bytes"/> bytes.</param>
    /// <param name="fileBytes">The file's real length.</param>
    /// <param name="problem">What is wrong, or null.</param>
    public static TokenShardHeader Read(ReadOnlySpan<byte> header, ulong fileBytes, out string? problem)
    {
        problem = null;
        if (!header.StartsWith(Magic)) problem = "is not a token shard";
        else if (BinaryPrimitives.ReadUInt32LittleEndian(header[8..]) is not Version and var version) problem = $"has version {version}, this program reads {Version}";
        var read = new TokenShardHeader(
            BinaryPrimitives.ReadUInt32LittleEndian(header[12..]), BinaryPrimitives.ReadUInt64LittleEndian(header[16..]), BinaryPrimitives.ReadUInt64LittleEndian(header[24..]),
            BinaryPrimitives.ReadUInt64LittleEndian(header[32..]), BinaryPrimitives.ReadUInt32LittleEndian(header[40..]), BinaryPrimitives.ReadUInt32LittleEndian(header[44..]));
        // Every count is bounded by the file first, so that the products below cannot overflow.
        if (problem is null && (read.Width is not 2 and not 4 || read.Tokens > fileBytes || read.Documents > fileBytes || read.ScoreColumns > 4096
            || read.FileBytes != fileBytes)) problem = "is truncated or has a damaged header";
        return read;
    }

    /// <summary>Writes everything but the checksum.</summary>
    public void Write(Span<byte> header)
    {
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(header[12..], Width);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], Tokens);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], Documents);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], TextBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(header[40..], ScoreColumns);
        BinaryPrimitives.WriteUInt32LittleEndian(header[44..], NameBytes);
    }
}

/// <summary>The names at the end of a shard, as JSON: what the numbers in its tables mean.</summary>
/// <param name="Paths">Source files.</param>
/// <param name="Scores">Names of the score columns.</param>
internal sealed record TokenShardNames(IReadOnlyList<string> Paths, IReadOnlyList<string> Scores);
