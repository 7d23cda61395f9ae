using CsCheck;

namespace Perennial.Core.Tests;

public class QuantileTests
{
    [Fact]
    public void Values_between_neighbours_are_in_proportion()
    {
        double[] values = [4, 1, 3, 2];
        Assert.Equal([1, 1.75, 2.5, 3.25, 4], new[] { 0, 0.25, 0.5, 0.75, 1 }.Select(share => Quantile.Of(values, share)));
        Assert.Equal(2.5, Quantile.Median(values));
        Assert.Equal(7, Quantile.Median([7]));
        Assert.Throws<ArgumentException>(() => Quantile.Median([]));
    }

    [Fact]
    public void The_median_has_half_of_the_values_on_either_side() => Gen.Double[-1e6, 1e6].Array[1, 30].Sample(values =>
    {
        var median = Quantile.Median(values);
        Assert.True(values.Count(value => value <= median) * 2 >= values.Length);
        Assert.True(values.Count(value => value >= median) * 2 >= values.Length);
        Assert.Equal(median, Quantile.Of(values, 0.5), 1e-9 * Math.Max(1, Math.Abs(median)));
    });
}
