using System.Globalization;
using Perennial.Tensors;

namespace Perennial.Training.Practices;

/// <summary>Which parameters belong to which block of the model, by their names.</summary>
internal static class BlockEntries
{
    private const string Marker = ".layers.", OtherMarker = "h.";

    /// <summary>Blocks of a layout.</summary>
    public static int Count(FlatLayout layout) => layout.Entries.Select(entry => BlockOf(entry.Name)).Append(-1).Max() + 1;

    /// <summary>Parameters of the blocks from a first one on.</summary>
    public static IReadOnlyList<FlatEntry> Of(FlatLayout layout, int first, int count) =>
        [.. layout.Entries.Where(entry => BlockOf(entry.Name) is var block && block >= 0 && block >= first && block < first + count)];

    // model.layers.3.… and transformer.h.3.… are of block 3.
    private static int BlockOf(string name)
    {
        var at = name.IndexOf(Marker, StringComparison.Ordinal) is var found && found >= 0 ? found + Marker.Length : name.IndexOf(OtherMarker, StringComparison.Ordinal) is var other && other >= 0 ? other + OtherMarker.Length : -1;
        if (at < 0) return -1;
        var end = name.IndexOf('.', at);
        return end > at && int.TryParse(name.AsSpan(at, end - at), NumberStyles.None, CultureInfo.InvariantCulture, out var block) ? block : -1;
    }
}
