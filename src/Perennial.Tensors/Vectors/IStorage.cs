using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Perennial.Tensors;

/// <summary>
/// How the operands and results of matrix products lie in memory. Kernels are written once, over float32 vectors of
/// eight, and compiled for each storage.
/// </summary>
public unsafe interface IStorage
{
    /// <summary>Bytes of an element.</summary>
    static abstract int Size { get; }

    /// <summary>Whether storing rounds to bfloat16.</summary>
    static abstract bool Rounds { get; }

    /// <summary>Reads elements <paramref name="index"/> … + 7.</summary>
    static abstract Vector256<float> Load(void* start, long index);

    /// <summary>Writes elements <paramref name="index"/> … + 7, rounding to the storage's precision.</summary>
    static abstract void Store(void* start, long index, Vector256<float> values);
}

/// <summary>float32.</summary>
public readonly unsafe struct Float32Storage : IStorage
{
    /// <inheritdoc/>
    public static int Size => sizeof(float);

    /// <inheritdoc/>
    public static bool Rounds => false;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(void* start, long index) => Vector256.Load((float*)start + index);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(void* start, long index, Vector256<float> values) => values.Store((float*)start + index);
}

/// <summary>float32 cells that hold bfloat16 values: what a processor without bfloat16 products computes with.</summary>
public readonly unsafe struct RoundedStorage : IStorage
{
    /// <inheritdoc/>
    public static int Size => sizeof(float);

    /// <inheritdoc/>
    public static bool Rounds => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(void* start, long index) => Vector256.Load((float*)start + index);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(void* start, long index, Vector256<float> values) =>
        (Bfloat16.Round(values) << 16).AsSingle().Store((float*)start + index);
}

/// <summary>bfloat16.</summary>
public readonly unsafe struct Bfloat16Storage : IStorage
{
    /// <inheritdoc/>
    public static int Size => sizeof(ushort);

    /// <inheritdoc/>
    public static bool Rounds => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(void* start, long index)
    {
        var (low, high) = Vector128.Widen(Vector128.Load((ushort*)start + index));
        return (Vector256.Create(low, high) << 16).AsSingle();
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(void* start, long index, Vector256<float> values)
    {
        var bits = Bfloat16.Round(values);
        Vector128.Narrow(bits.GetLower(), bits.GetUpper()).Store((ushort*)start + index);
    }
}
