using System.IO.Hashing;
using Perennial.Core;
using Perennial.Core.Safetensors;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Plans;

namespace Perennial.Resilience.Universal;

/// <summary>Writes one file of a universal checkpoint: one safetensors entry a slot, streamed, with checksums of chunks.</summary>
internal static class ShardFile
{
    /// <summary>The metadata key that holds the save's name.</summary>
    public const string SaveKey = "save";

    /// <param name="file">The file, empty and not committed yet.</param>
    /// <param name="save">The save's name.</param>
    /// <param name="stored">The layout of the files.</param>
    /// <param name="index">Which file.</param>
    /// <param name="chunkBytes">Bytes a checksum covers.</param>
    /// <param name="window">The windows of each slot.</param>
    public static UniversalFile Write(PendingFile file, string save, StateLayout stored, int index, int chunkBytes, Func<SlotLayout, CopyWindow> window)
    {
        var chunks = new Dictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal);
        var tensors = new List<SafetensorsTensor>();
        foreach (var slot in stored.Slots)
        {
            var buffer = slot.Layout.Ranks[index];
            var list = new List<string>();
            chunks[slot.Slot.Name] = list;
            if (buffer.Bytes == 0) continue;
            var windows = window(slot);
            var hash = new XxHash128();
            long end = 0;
            tensors.Add(SafetensorsTensor.Made(slot.Slot.Name, slot.Slot.Type, Shape(slot, buffer), (from, part) =>
            {
                windows.Fill(from, part);
                // Parts of the writer and chunks of the manifest need not begin together.
                for (var at = 0; at < part.Length;)
                {
                    var take = (int)Math.Min(part.Length - at, chunkBytes - end % chunkBytes);
                    hash.Append(part.Slice(at, take));
                    at += take;
                    end += take;
                    if (end % chunkBytes != 0 && end != buffer.Bytes) continue;
                    list.Add(Convert.ToHexStringLower(hash.GetHashAndReset()));
                }
            }));
        }
        var written = SafetensorsWriter.Write(file, tensors, new Dictionary<string, string> { [SaveKey] = save });
        return new(file.Name, written.Bytes, written.Hash, chunks);
    }

    /// <summary>The logical shape where a file holds one whole tensor, so that other tools read it; a row of elements else.</summary>
    private static IReadOnlyList<long> Shape(SlotLayout slot, RankBuffer buffer) =>
        buffer.Runs.Count == 1 && slot.Layout.Tensors[buffer.Runs[0].Tensor] is var tensor && tensor.Bytes == buffer.Bytes
            ? tensor.Shape : [buffer.Bytes / slot.Slot.Type.Size()];
}
