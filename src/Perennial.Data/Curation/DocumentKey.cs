namespace Perennial.Data.Curation;

/// <summary>A document's place in a stage of curation. Keys compare in corpus order, so "the earliest" means the same whatever the parallelism.</summary>
/// <param name="Value">Part in the upper 32 bits, number inside the part in the lower.</param>
public readonly record struct DocumentKey(ulong Value) : IComparable<DocumentKey>
{
    /// <summary>The key of a document of a part.</summary>
    public DocumentKey(int part, int number)
        : this((ulong)(uint)part << 32 | (uint)number)
    {
    }

    /// <summary>The part.</summary>
    public int Part => (int)(Value >> 32);

    /// <summary>The number inside the part.</summary>
    public int Number => (int)Value;

    /// <inheritdoc/>
    public int CompareTo(DocumentKey other) => Value.CompareTo(other.Value);

    /// <summary>Order of keys.</summary>
    public static bool operator <(DocumentKey left, DocumentKey right) => left.Value < right.Value;

    /// <summary>Order of keys.</summary>
    public static bool operator >(DocumentKey left, DocumentKey right) => left.Value > right.Value;

    /// <summary>Order of keys.</summary>
    public static bool operator <=(DocumentKey left, DocumentKey right) => left.Value <= right.Value;

    /// <summary>Order of keys.</summary>
    public static bool operator >=(DocumentKey left, DocumentKey right) => left.Value >= right.Value;
}
