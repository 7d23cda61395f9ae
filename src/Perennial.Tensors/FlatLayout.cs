namespace Perennial.Tensors;

/// <summary>One named tensor inside a flat buffer.</summary>
/// <param name="Name">The tensor's name, the one its Hugging Face checkpoint uses.</param>
/// <param name="Offset">First element in the buffer.</param>
/// <param name="Shape">Dimensions, outermost first.</param>
/// <param name="Decays">Whether weight decay applies (matrices yes; norms and biases no).</param>
public sealed record FlatEntry(string Name, long Offset, IReadOnlyList<long> Shape, bool Decays)
{
    /// <summary>Number of elements.</summary>
    public long Length { get; } = Shape.Aggregate(1L, (a, b) => a * b);
}

/// <summary>The index of a flat buffer: name → (offset, shape). Entries lie in order, without gaps.</summary>
public sealed class FlatLayout
{
    private readonly Dictionary<string, FlatEntry> byName;

    private FlatLayout(IReadOnlyList<FlatEntry> entries)
    {
        Entries = entries;
        Length = entries.Sum(entry => entry.Length);
        byName = entries.ToDictionary(entry => entry.Name, StringComparer.Ordinal);
    }

    /// <summary>The entries in buffer order.</summary>
    public IReadOnlyList<FlatEntry> Entries { get; }

    /// <summary>Elements in the whole buffer.</summary>
    public long Length { get; }

    /// <summary>The entry of a name.</summary>
    /// <exception cref="KeyNotFoundException">There is no such tensor.</exception>
    public FlatEntry this[string name] => byName.TryGetValue(name, out var entry) ? entry : throw new KeyNotFoundException($"no tensor named '{name}'");

    /// <summary>Whether the layout has a tensor of that name.</summary>
    public bool Contains(string name) => byName.ContainsKey(name);

    /// <summary>The layout of a stretch of the buffer: its tensors, or what it has of them, as a flat row where that is not all.</summary>
    /// <param name="first">First element of the stretch.</param>
    /// <param name="length">Its elements.</param>
    public FlatLayout Slice(long first, long length) => Of(Entries
        .Select(entry => (Entry: entry, Start: Math.Max(first, entry.Offset), End: Math.Min(first + length, entry.Offset + entry.Length)))
        .Where(part => part.Start < part.End)
        .Select(part => (part.Entry.Name, part.End - part.Start == part.Entry.Length ? part.Entry.Shape.ToArray() : [part.End - part.Start], part.Entry.Decays)));

    /// <summary>Lays tensors out one after another.</summary>
    /// <exception cref="ArgumentException">Two tensors have one name.</exception>
    public static FlatLayout Of(IEnumerable<(string Name, long[] Shape, bool Decays)> tensors)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        var entries = new List<FlatEntry>();
        var offset = 0L;
        foreach (var (name, shape, decays) in tensors)
        {
            entries.Add(new FlatEntry(name, offset, shape, decays));
            offset += entries[^1].Length;
        }
        return new FlatLayout(entries);
    }
}
