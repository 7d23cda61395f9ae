using System.Diagnostics;

namespace Perennial.Optimization;

/// <summary>What this machine does at most in products of 16-bit integers.</summary>
public static class FixedCeiling
{
    /// <summary>Operations a second (a multiplication and an addition are two) of one square product of side 1,024, the fastest of a few.</summary>
    public static double Measure()
    {
        const int side = 1024;
        using FixedMatrix left = new(side, side), right = new(side, side), result = new(side, side);
        left.Values.fill_(3);
        right.Values.fill_(5);
        right.Interleave();
        var best = double.PositiveInfinity;
        for (var i = 0; i < 5; i++)
        {
            var start = Stopwatch.GetTimestamp();
            result.BecomeProduct(left, right, factor: 1);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return 2.0 * side * side * side / best;
    }
}
