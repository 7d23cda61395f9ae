namespace Perennial.Evaluation.Charts;

/// <summary>What is done to points before they are drawn.</summary>
public static class Curve
{
    /// <summary>
    /// A moving average around every point, narrower near the beginning, so that it neither lags behind a steep start nor smooths it
    /// away. Values that are not finite are left out.
    /// </summary>
    /// <param name="points">The points.</param>
    /// <param name="span">About how many points one value averages; 1 changes nothing.</param>
    public static IReadOnlyList<ChartPoint> Smooth(IReadOnlyList<ChartPoint> points, double span)
    {
        ArgumentNullException.ThrowIfNull(points);
        var finite = points.Where(point => double.IsFinite(point.Y)).ToArray();
        var sums = new double[finite.Length + 1];
        for (var i = 0; i < finite.Length; i++) sums[i + 1] = sums[i] + finite[i].Y;
        var widest = (int)(span / 2);
        return [.. finite.Select((point, i) =>
        {
            var half = Math.Min(widest, i / 2);
            var end = Math.Min(finite.Length, i + half + 1);
            return point with { Y = (sums[end] - sums[i - half]) / (end - (i - half)) };
        })];
    }

    /// <summary>
    /// At most about <paramref name="count"/> points that look the same when drawn: of every stretch the lowest and the highest stay,
    /// so that no spike is lost; the first and the last point always stay.
    /// </summary>
    public static IReadOnlyList<ChartPoint> Thin(IReadOnlyList<ChartPoint> points, int count)
    {
        ArgumentNullException.ThrowIfNull(points);
        if (points.Count <= count) return points;
        var thin = new List<ChartPoint> { points[0] };
        var stretches = Math.Max(1, (count - 2) / 2);
        for (var stretch = 0; stretch < stretches; stretch++)
        {
            var first = 1 + (int)((long)stretch * (points.Count - 2) / stretches);
            var end = 1 + (int)((long)(stretch + 1) * (points.Count - 2) / stretches);
            var (low, high) = (first, first);
            for (var i = first; i < end; i++)
            {
                if (points[i].Y < points[low].Y) low = i;
                if (points[i].Y > points[high].Y) high = i;
            }
            thin.Add(points[Math.Min(low, high)]);
            if (low != high) thin.Add(points[Math.Max(low, high)]);
        }
        thin.Add(points[^1]);
        return thin;
    }
}
