namespace Perennial.Resilience.Groups;

/// <summary>What a collective's buffer holds. The values are part of the native interface: never renumber.</summary>
public enum ElementType
{
    /// <summary>IEEE single precision, 4 bytes.</summary>
    Float32 = 0,

    /// <summary>Brain float, 2 bytes; sums are taken in single precision and rounded to even at each addition.</summary>
    BFloat16 = 1,

    /// <summary>IEEE double precision, 8 bytes.</summary>
    Float64 = 2,

    /// <summary>Signed 64-bit integer; sums wrap.</summary>
    Int64 = 3,

    /// <summary>A byte; has maximum, minimum and exclusive or, but no sum, which would wrap at 256 unseen.</summary>
    UInt8 = 4,
}

/// <summary>How the ranks' elements become one. A NaN among the operands stays a NaN in every floating-point reduction.</summary>
public enum Reduction
{
    /// <summary>The sum.</summary>
    Sum = 0,

    /// <summary>The greatest.</summary>
    Max = 1,

    /// <summary>The least.</summary>
    Min = 2,

    /// <summary>Bitwise exclusive or, for integers and bytes (parity).</summary>
    Xor = 3,
}

/// <summary>Sizes and allowed reductions of element types.</summary>
public static class ElementTypes
{
    /// <summary>Bytes of one element.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The type is not one of the known ones.</exception>
    public static int Size(this ElementType type) => type switch
    {
        ElementType.Float32 => 4,
        ElementType.BFloat16 => 2,
        ElementType.Float64 or ElementType.Int64 => 8,
        ElementType.UInt8 => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "unknown element type"),
    };

    /// <summary>True where <paramref name="reduction"/> is defined for the type.</summary>
    public static bool Allows(this ElementType type, Reduction reduction) => reduction switch
    {
        Reduction.Sum => type != ElementType.UInt8,
        Reduction.Max or Reduction.Min => true,
        Reduction.Xor => type is ElementType.Int64 or ElementType.UInt8,
        _ => false,
    };

    /// <summary>The type of a .NET element.</summary>
    /// <exception cref="NotSupportedException">Collectives do not carry this .NET type.</exception>
    public static ElementType Of<T>() where T : unmanaged =>
        typeof(T) == typeof(float) ? ElementType.Float32 :
        typeof(T) == typeof(double) ? ElementType.Float64 :
        typeof(T) == typeof(long) ? ElementType.Int64 :
        typeof(T) == typeof(byte) ? ElementType.UInt8 :
        throw new NotSupportedException($"collectives carry float, double, long and byte, not {typeof(T).Name}");
}
