namespace Perennial.Tensors;

/// <summary>What a tensor is for: optimizers that treat matrices as matrices ask.</summary>
public enum EntryKind
{
    /// <summary>Norm weights, biases, single numbers: anything without two dimensions.</summary>
    Vector,

    /// <summary>A linear map, <c>[rows, columns]</c>.</summary>
    Matrix,

    /// <summary>A table that is looked up or scored against, not a map between activations: token and position embeddings, the head.</summary>
    Table,
}

/// <summary>One named tensor inside a flat buffer.</summary>
/// <param name="Name">The tensor's name, the one its Hugging Face checkpoint uses.</param>
/// <param name="Offset">First element in the buffer.</param>
/// <param name="Shape">Dimensions, outermost first.</param>
/// <param name="Decays">Whether weight decay applies (matrices yes; norms and biases no).</param>
public sealed record FlatEntry(string Name, long Offset, IReadOnlyList<long> Shape, bool Decays)
{
    /// <summary>Number of elements.</summary>
    public long Length { get; } = Shape.Aggregate(1L, (a, b) => a * b);

    /// <summary>What it is for; by default what decays and has two dimensions is a matrix.</summary>
    public EntryKind Kind { get; init; } = Decays && Shape.Count == 2 ? EntryKind.Matrix : EntryKind.Vector;

    /// <summary>Whether this is only a part of the tensor (of several processes that share it): what needs the tensor whole must refuse it.</summary>
    public bool IsPart { get; init; }

    /// <summary>Widths of the matrices that stand side by side in its columns (GPT-2's fused q, k, v); empty for a single one.</summary>
    public IReadOnlyList<long> Columns { get; init; } = [];
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
        .Select(part => part.End - part.Start == part.Entry.Length
            ? part.Entry
            : new FlatEntry(part.Entry.Name, 0, [part.End - part.Start], part.Entry.Decays) { Kind = part.Entry.Kind, IsPart = true }));

    /// <summary>Lays tensors out one after another.</summary>
    /// <exception cref="ArgumentException">Two tensors have one name.</exception>
    public static FlatLayout Of(IEnumerable<(string Name, long[] Shape, bool Decays)> tensors) =>
        Of(tensors.Select(tensor => new FlatEntry(tensor.Name, 0, tensor.Shape, tensor.Decays)));

    /// <summary>Lays tensors out one after another; their offsets are made anew.</summary>
    /// <exception cref="ArgumentException">Two tensors have one name.</exception>
    public static FlatLayout Of(IEnumerable<FlatEntry> tensors)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        var entries = new List<FlatEntry>();
        var offset = 0L;
        foreach (var tensor in tensors)
        {
            entries.Add(tensor with { Offset = offset });
            offset += tensor.Length;
        }
        return new FlatLayout(entries);
    }
}
