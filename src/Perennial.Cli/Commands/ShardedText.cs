using Perennial.Resilience.Universal;

namespace Perennial.Cli.Commands;

/// <summary>Checkpoints that ranks wrote, in words.</summary>
internal static class ShardedText
{
    /// <summary>Shape, files and slots; nothing for a checkpoint of one process.</summary>
    public static IEnumerable<string> Of(UniversalManifest? manifest)
    {
        if (manifest is null) yield break;
        yield return $"written under {manifest.Shape}: {manifest.Files.Count} files, {manifest.Files.Sum(file => file.Bytes):N0} bytes";
        foreach (var slot in manifest.Slots) yield return $"  slot {slot.Slot.Name} ({slot.Slot.Role.ToString().ToLowerInvariant()}, {slot.Slot.Type}): {string.Join(" + ", slot.Stored.Ranks.Select(rank => rank.Bytes.ToString("N0", System.Globalization.CultureInfo.InvariantCulture)))} bytes";
    }

    /// <summary>How ranks cut a tensor.</summary>
    public static string Pattern(UniversalManifest manifest, string tensor)
    {
        var weights = manifest.Slots[0].Live;
        return weights.IndexOf(tensor) is { } index ? weights.Tensors[index].Pattern : "";
    }

    /// <summary>For each slot of two checkpoints, how many tensors have equal content, whatever their layouts.</summary>
    public static IEnumerable<(string Slot, int Equal, int All)> Slots(UniversalManifest one, UniversalManifest other)
    {
        foreach (var slot in one.Summary.Slots)
        {
            if (other.Summary.Slots.FirstOrDefault(entry => entry.Slot.Name == slot.Slot.Name) is not { } same) continue;
            var names = slot.Tensors.Keys.Union(same.Tensors.Keys).ToList();
            yield return (slot.Slot.Name, names.Count(name => slot.Tensors.TryGetValue(name, out var a) && same.Tensors.TryGetValue(name, out var b) && a == b), names.Count);
        }
    }
}
