using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>Entries that a slot keeps one after another, and where each begins in it.</summary>
internal sealed class SlotOffsets
{
    private readonly Dictionary<string, long> offsets = new(StringComparer.Ordinal);

    /// <param name="entries">In slot order.</param>
    /// <param name="length">Slot elements of an entry; as many as it has parameters when left out.</param>
    public SlotOffsets(IEnumerable<FlatEntry> entries, Func<FlatEntry, long>? length = null)
    {
        foreach (var entry in entries)
        {
            offsets.Add(entry.Name, Length);
            Length += length?.Invoke(entry) ?? entry.Length;
        }
    }

    /// <summary>Elements of the whole slot.</summary>
    public long Length { get; }

    /// <summary>First slot element of an entry.</summary>
    public long this[FlatEntry entry] => offsets[entry.Name];

    /// <summary>Whether the slot keeps anything of an entry.</summary>
    public bool Contains(FlatEntry entry) => offsets.ContainsKey(entry.Name);
}
