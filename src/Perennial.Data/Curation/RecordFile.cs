using System.Buffers.Binary;

namespace Perennial.Data.Curation;

/// <summary>Numbered byte strings of a part, in ascending order of their numbers: u32 number, u32 length, bytes. Sketches and decisions.</summary>
internal static class RecordFile
{
    public static void Write(Stream stream, int number, ReadOnlySpan<byte> bytes)
    {
        Span<byte> head = stackalloc byte[8];
        BinaryPrimitives.WriteInt32LittleEndian(head, number);
        BinaryPrimitives.WriteInt32LittleEndian(head[4..], bytes.Length);
        stream.Write(head);
        stream.Write(bytes);
    }

    /// <summary>All records; the memory is valid until the next is asked for.</summary>
    public static IEnumerable<(int Number, ReadOnlyMemory<byte> Bytes)> Read(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 18, FileOptions.SequentialScan);
        var (head, buffer) = (new byte[8], new byte[1024]);
        while (stream.ReadAtLeast(head, 8, throwOnEndOfStream: false) == 8)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(4));
            if (buffer.Length < length) buffer = new byte[length * 2];
            stream.ReadExactly(buffer, 0, length);
            yield return (BinaryPrimitives.ReadInt32LittleEndian(head), buffer.AsMemory(0, length));
        }
    }
}
