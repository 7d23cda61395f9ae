using System.Runtime.Intrinsics;

namespace Perennial.Optimization;

/// <summary>One number of a vector's eight.</summary>
internal static class Lanes
{
    /// <summary>The largest; undefined where one is NaN.</summary>
    public static float Largest(Vector256<float> values)
    {
        var four = Vector128.MaxNative(values.GetLower(), values.GetUpper());
        var two = Vector128.MaxNative(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return float.MaxNative(two[0], two[1]);
    }
}
