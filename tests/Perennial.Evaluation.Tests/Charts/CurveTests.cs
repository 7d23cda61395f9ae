using CsCheck;
using Perennial.Evaluation.Charts;

namespace Perennial.Evaluation.Tests;

public class CurveTests
{
    [Fact]
    public void Thinning_keeps_ends_and_extremes() =>
        Gen.Double[-10, 10].Array[3, 3000].Sample(values =>
        {
            var points = values.Select((value, i) => new ChartPoint(i, value)).ToList();
            var thin = Curve.Thin(points, 100);
            Assert.InRange(thin.Count, 1, Math.Max(100, points.Count <= 100 ? points.Count : 0));
            Assert.Equal((points[0], points[^1]), (thin[0], thin[^1]));
            Assert.Equal((points.Min(p => p.Y), points.Max(p => p.Y)), (thin.Min(p => p.Y), thin.Max(p => p.Y)));
            Assert.All(thin.Zip(thin.Skip(1)), pair => Assert.True(pair.First.X < pair.Second.X));
        });

    [Fact]
    public void Smoothing_keeps_a_constant_and_a_start()
    {
        Assert.All(Curve.Smooth([.. Enumerable.Range(0, 50).Select(i => new ChartPoint(i, 2.5))], 10), point => Assert.Equal(2.5, point.Y, 12));
        var falling = Enumerable.Range(0, 200).Select(i => new ChartPoint(i, 8 * Math.Exp(-i / 10.0))).ToList();
        var smooth = Curve.Smooth(falling, 20);
        Assert.Equal(falling[0].Y, smooth[0].Y, 12);
        Assert.All(falling.Zip(smooth).Take(10), pair => Assert.InRange(pair.Second.Y, pair.First.Y - 0.1, pair.First.Y + 0.4));
    }

    [Fact]
    public void Smoothing_passes_over_what_is_not_finite() =>
        Assert.Equal([1.0, 3.0], Curve.Smooth([new(0, 1), new(1, double.NaN), new(2, 3)], 1).Select(point => point.Y));
}
