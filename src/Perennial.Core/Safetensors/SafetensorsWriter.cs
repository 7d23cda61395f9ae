using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Perennial.Core.Safetensors;

/// <summary>What <see cref="SafetensorsWriter"/> wrote.</summary>
/// <param name="Bytes">Size of the file.</param>
/// <param name="Hash">XXH128 of the whole file, 32 lower-case hexadecimal digits.</param>
public sealed record SafetensorsWritten(long Bytes, string Hash);

/// <summary>
/// Writes safetensors files: streamed from where the tensors lie, whole or not at all (<see cref="AtomicFile"/>), the same bytes for
/// the same input. Tensors stand in the given order, except that wider element types come first, so that every tensor is aligned.
/// </summary>
public static class SafetensorsWriter
{
    // Small enough to be still in the second-level cache when it goes from the hash to the kernel, large enough to write at disk speed.
    private const int Chunk = 1 << 20;

    // Bytes after which the disk begins with what is written.
    private const long WriteBack = 8 << 20;

    private static readonly JsonWriterOptions JsonOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes a file.</summary>
    /// <param name="path">Replaced if it exists, after everything is on the disk.</param>
    /// <param name="tensors">Names must differ.</param>
    /// <param name="metadata">Text about the file; null or empty for none. Written in the order of its keys.</param>
    /// <exception cref="ArgumentException">Two tensors have one name, or the header grows beyond the format's limit.</exception>
    /// <exception cref="IOException">The disk is full or the folder cannot be written.</exception>
    public static SafetensorsWritten Write(string path, IEnumerable<SafetensorsTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        using var file = new PendingFile(path, FileShare.None);
        var written = Write(file, tensors, metadata);
        PendingFile.Commit([file]);
        return written;
    }

    /// <summary>Writes a file that is not committed yet.</summary>
    /// <param name="file">The file, empty.</param>
    /// <param name="tensors">Names must differ.</param>
    /// <param name="metadata">Text about the file; null or empty for none. Written in the order of its keys.</param>
    /// <exception cref="ArgumentException">Two tensors have one name, or the header grows beyond the format's limit.</exception>
    /// <exception cref="IOException">The disk is full.</exception>
    public static SafetensorsWritten Write(PendingFile file, IEnumerable<SafetensorsTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(tensors);
        var ordered = tensors.OrderByDescending(tensor => tensor.Type.Size()).ToArray();
        var header = Header(ordered, metadata);
        var hash = new XxHash128();
        var bytes = (long)header.Length;
        file.Write(stream =>
        {
            hash.Append(header);
            stream.Write(header);
            var handedOn = 0L;
            void Put(ReadOnlySpan<byte> part)
            {
                hash.Append(part);
                stream.Write(part);
                bytes += part.Length;
                if (bytes - handedOn < WriteBack) return;
                AtomicFile.BeginWriteBack(stream, handedOn, bytes - handedOn);
                handedOn = bytes;
            }
            WriteBehind? behind = null;
            try
            {
                foreach (var tensor in ordered)
                    for (var at = 0L; at < tensor.ByteLength; at += Chunk)
                    {
                        var (from, length) = (at, (int)Math.Min(Chunk, tensor.ByteLength - at));
                        if (tensor.IsMade)
                        {
                            // While one part is hashed and written the next is made: either takes about as long.
                            behind ??= new(Chunk, (buffer, count) => Put(buffer.AsSpan(0, count)));
                            behind.Write(length, buffer => tensor.Make(from, buffer.AsSpan(0, length)));
                            continue;
                        }
                        behind?.Flush();
                        Put(tensor.Lying(from, length));
                    }
                behind?.Flush();
            }
            finally
            {
                behind?.Dispose();
            }
        });
        return new SafetensorsWritten(bytes, Convert.ToHexStringLower(hash.GetCurrentHash()));
    }

    /// <summary>The length prefix and the JSON, padded with spaces so that the data begins at a multiple of 8 bytes.</summary>
    private static byte[] Header(SafetensorsTensor[] tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        using var buffer = new MemoryStream();
        buffer.Write(stackalloc byte[8]);
        using (var json = new Utf8JsonWriter(buffer, JsonOptions))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject(SafetensorsHeader.MetadataKey);
                foreach (var (key, value) in metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal)) json.WriteString(key, value);
                json.WriteEndObject();
            }
            var offset = 0L;
            foreach (var tensor in tensors)
            {
                if (!names.Add(tensor.Name)) throw new ArgumentException($"two tensors are named '{tensor.Name}'", nameof(tensors));
                WriteEntry(json, tensor, offset);
                offset = checked(offset + tensor.ByteLength);
            }
            json.WriteEndObject();
        }
        while (buffer.Length % 8 != 0) buffer.WriteByte((byte)' ');
        if (buffer.Length - 8 > SafetensorsHeader.LongestHeader) throw new ArgumentException($"a header of {buffer.Length - 8} bytes is more than the format allows", nameof(tensors));
        var header = buffer.ToArray();
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)header.Length - 8);
        return header;
    }

    private static void WriteEntry(Utf8JsonWriter json, SafetensorsTensor tensor, long offset)
    {
        json.WriteStartObject(tensor.Name);
        json.WriteString("dtype", tensor.Type.ToString());
        json.WriteStartArray("shape");
        foreach (var dimension in tensor.Shape) json.WriteNumberValue(dimension);
        json.WriteEndArray();
        json.WriteStartArray("data_offsets");
        json.WriteNumberValue(offset);
        json.WriteNumberValue(offset + tensor.ByteLength);
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
