using System.Collections.Concurrent;
using System.IO.Hashing;
using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>One mapped file of a checkpoint whose chunks are checked when they are first touched, from any thread.</summary>
internal sealed class CheckedFile : IDisposable
{
    private readonly SafetensorsFile file;
    private readonly UniversalFile index;
    private readonly int chunkBytes;
    private readonly ConcurrentDictionary<string, bool[]> known = new(StringComparer.Ordinal);
    private long bytesRead;

    /// <exception cref="PerennialException">Exit 3: the file is missing, damaged, or of another save.</exception>
    public CheckedFile(string folder, UniversalFile index, string save, int chunkBytes)
    {
        (this.index, this.chunkBytes) = (index, chunkBytes);
        var path = Path.Combine(folder, index.Name);
        file = SafetensorsFile.Open(path);
        if (file.Metadata.GetValueOrDefault(ShardFile.SaveKey) == save) return;
        file.Dispose();
        throw PerennialException.Damaged($"{path}: belongs to save '{file.Metadata.GetValueOrDefault(ShardFile.SaveKey)}', not to '{save}'");
    }

    /// <summary>Bytes of the chunks touched so far.</summary>
    public long BytesRead => Interlocked.Read(ref bytesRead);

    /// <summary>A slot's data, nothing checked.</summary>
    public FlatBytes Slot(string slot)
    {
        var entry = file[slot];
        return FlatBytes.At(file.Pointer(entry), entry.ByteLength);
    }

    /// <summary>Checks the chunks that a copy reads.</summary>
    /// <exception cref="PerennialException">Exit 3: a chunk is not what was written.</exception>
    public void Check(string slot, long offset, long length, long count, long stride)
    {
        for (long row = 0; row < count; row++)
        {
            var start = offset + row * stride;
            for (var chunk = start / chunkBytes; chunk <= (start + length - 1) / chunkBytes; chunk++) Check(slot, chunk);
        }
    }

    private void Check(string slot, long chunk)
    {
        var entry = file[slot];
        var hashes = index.Chunks.GetValueOrDefault(slot) ?? [];
        var done = known.GetOrAdd(slot, (_, count) => new bool[count], hashes.Count);
        if (chunk >= hashes.Count || chunk * chunkBytes >= entry.ByteLength) throw PerennialException.Damaged($"{file.Path}: slot '{slot}' has {entry.ByteLength} bytes, fewer than the manifest says");
        if (done[chunk]) return;
        var bytes = file.Bytes(entry, chunk * chunkBytes, (int)Math.Min(chunkBytes, entry.ByteLength - chunk * chunkBytes));
        if (Convert.ToHexStringLower(XxHash128.Hash(bytes)) != hashes[(int)chunk])
            throw PerennialException.Damaged($"{file.Path}: slot '{slot}', bytes {chunk * chunkBytes} to {chunk * chunkBytes + bytes.Length} do not match their checksum");
        done[chunk] = true;
        Interlocked.Add(ref bytesRead, bytes.Length);
    }

    public void Dispose() => file.Dispose();
}
