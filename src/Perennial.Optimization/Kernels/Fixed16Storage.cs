using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>16-bit integers, rounded to nearest, ties to even; the caller minds units and range.</summary>
internal readonly unsafe struct Fixed16Storage : IStorage
{
    /// <inheritdoc/>
    public static int Size => sizeof(short);

    /// <inheritdoc/>
    public static bool Rounds => false;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(void* start, long index)
    {
        var (low, high) = Vector128.Widen(Vector128.Load((short*)start + index));
        return Vector256.ConvertToSingle(Vector256.Create(low, high));
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(void* start, long index, Vector256<float> values)
    {
        var rounded = FixedVectors.Round(values);
        Vector128.NarrowWithSaturation(rounded.GetLower(), rounded.GetUpper()).Store((short*)start + index);
    }
}
