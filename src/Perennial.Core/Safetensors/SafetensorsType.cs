namespace Perennial.Core.Safetensors;

/// <summary>Element types of the safetensors format; the names are those that stand in files.</summary>
public enum SafetensorsType
{
    /// <summary>64-bit float.</summary>
    F64,

    /// <summary>32-bit float.</summary>
    F32,

    /// <summary>IEEE half.</summary>
    F16,

    /// <summary>bfloat16.</summary>
    BF16,

    /// <summary>Signed 64-bit integer.</summary>
    I64,

    /// <summary>Signed 32-bit integer.</summary>
    I32,

    /// <summary>Signed 16-bit integer.</summary>
    I16,

    /// <summary>Signed byte.</summary>
    I8,

    /// <summary>Unsigned byte.</summary>
    U8,

    /// <summary>Truth value, one byte.</summary>
    BOOL,

    /// <summary>Unsigned 16-bit integer.</summary>
    U16,

    /// <summary>Unsigned 32-bit integer.</summary>
    U32,

    /// <summary>Unsigned 64-bit integer.</summary>
    U64,

    /// <summary>8-bit float, 4 exponent and 3 mantissa bits.</summary>
    F8_E4M3,

    /// <summary>8-bit float, 5 exponent and 2 mantissa bits.</summary>
    F8_E5M2,
}

/// <summary>What a <see cref="SafetensorsType"/> means in bytes.</summary>
public static class SafetensorsTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int Size(this SafetensorsType type) => type switch
    {
        SafetensorsType.F64 or SafetensorsType.I64 or SafetensorsType.U64 => 8,
        SafetensorsType.F32 or SafetensorsType.I32 or SafetensorsType.U32 => 4,
        SafetensorsType.F16 or SafetensorsType.BF16 or SafetensorsType.I16 or SafetensorsType.U16 => 2,
        _ => 1,
    };

    /// <summary>Bytes of a tensor, or null where a dimension is negative or the product exceeds 63 bits.</summary>
    /// <param name="type">Element type.</param>
    /// <param name="shape">Dimensions; none for a scalar.</param>
    public static long? Bytes(this SafetensorsType type, IReadOnlyList<long> shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        Int128 bytes = type.Size();
        foreach (var dimension in shape)
        {
            if (dimension < 0) return null;
            // The cap before a later zero matters: 2^62 × 2^62 × 0 is refused too, as other readers refuse it.
            bytes *= dimension;
            if (bytes > long.MaxValue) return null;
        }
        return (long)bytes;
    }
}
