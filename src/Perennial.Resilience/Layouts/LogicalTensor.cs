using Perennial.Core;

namespace Perennial.Resilience.Layouts;

/// <summary>What copies of one tensor on several ranks are to each other.</summary>
public enum Replicas
{
    /// <summary>Bit-equal; any of them is the tensor.</summary>
    Equal,

    /// <summary>Allowed to differ (norms that are not synchronised); the tensor is their mean, taken in float32.</summary>
    Average,
}

/// <summary>
/// One tensor of the model as a person sees it: whole, unpadded, row-major, under its global name (layer numbers are never
/// counted from a pipeline stage). A <c>FlatEntry</c> converts as <c>new LogicalTensor(entry.Name, entry.Shape, 4)</c>.
/// </summary>
/// <param name="Name">Unique in a layout.</param>
/// <param name="Shape">Dimensions, outermost first; none for a scalar.</param>
/// <param name="ElementBytes">Bytes of one element: 1, 2, 4 or 8.</param>
/// <param name="Replicas">What copies are to each other.</param>
/// <param name="Pattern">How ranks cut it, in words, for people and manifests; no code reads it.</param>
/// <param name="Whole">Whether ZeRO may not cut it (state that is not element-wise); one rank of the group then owns all of it.</param>
public sealed record LogicalTensor(string Name, IReadOnlyList<long> Shape, int ElementBytes, Replicas Replicas = Replicas.Equal, string Pattern = "", bool Whole = false)
{
    /// <summary>Number of elements.</summary>
    public long Elements { get; } = Shape.Aggregate(1L, (a, b) => checked(a * b));

    /// <summary>Bytes.</summary>
    public long Bytes => Elements * ElementBytes;

    /// <summary>Whether another tensor has the same name, shape and element size, so that bytes of one may fill the other.</summary>
    public bool Fits(LogicalTensor other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Name == other.Name && ElementBytes == other.ElementBytes && Shape.SequenceEqual(other.Shape);
    }

    /// <summary>The tensor in words: <c>name [2, 3] of 4 bytes</c>.</summary>
    public override string ToString() => $"{Name} [{string.Join(", ", Shape)}] of {ElementBytes} bytes";

    /// <summary>Refuses an impossible tensor.</summary>
    /// <exception cref="PerennialException">Exit 2: no name, a dimension below zero, or an element size other than 1, 2, 4, 8.</exception>
    internal void Check()
    {
        if (string.IsNullOrEmpty(Name)) throw PerennialException.Usage("a tensor of a layout has no name");
        if (ElementBytes is not (1 or 2 or 4 or 8)) throw PerennialException.Usage($"tensor '{Name}': elements of {ElementBytes} bytes; 1, 2, 4 and 8 are possible");
        if (Shape.Any(dimension => dimension < 0)) throw PerennialException.Usage($"tensor '{Name}': impossible shape [{string.Join(", ", Shape)}]");
        if (Replicas == Replicas.Average && ElementBytes != 4) throw PerennialException.Usage($"tensor '{Name}': only float32 values can be averaged");
    }
}
