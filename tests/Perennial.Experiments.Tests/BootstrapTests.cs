using CsCheck;
using Perennial.Core;
using Perennial.Experiments.Statistics;

namespace Perennial.Experiments.Tests;

public sealed class BootstrapTests
{
    [Theory]
    [InlineData(0.0, 0.5)]
    [InlineData(1.0, 0.841344746068543)]
    [InlineData(-1.959963984540054, 0.025)]
    [InlineData(3.0, 0.998650101968370)]
    [InlineData(-5.0, 2.866515718791939e-7)]
    public void The_normal_distribution_agrees_with_tables(double z, double expected) =>
        Assert.Equal(expected, NormalDistribution.Cumulative(z), Math.Max(1e-14, expected * 1e-10));

    [Theory]
    [InlineData(1, 12.706204736)]
    [InlineData(2, 4.302652730)]
    [InlineData(4, 2.776445105)]
    [InlineData(9, 2.262157163)]
    [InlineData(30, 2.042272456)]
    public void Students_quantile_agrees_with_tables(int freedom, double expected) =>
        Assert.Equal(expected, NormalDistribution.StudentQuantile(0.975, freedom), 1e-7);

    [Fact]
    public void One_value_is_its_own_interval() => Assert.Equal(new Interval(2.5, 2.5, 2.5), Bootstrap.Mean([2.5]));

    [Fact]
    public void Three_values_span_their_range()
    {
        var interval = Bootstrap.Mean([1, 2, 6]);
        Assert.Equal(3, interval.Mean, 1e-12);
        Assert.Equal(1, interval.Low, 1e-3);
        Assert.Equal(6, interval.High, 1e-3);
    }

    [Fact]
    public void Shifting_and_scaling_values_shifts_and_scales_the_interval() =>
        Gen.Double[-5, 5].Array[2, 9].Select(Gen.Double[-3, 3], Gen.Double[0.1, 4]).Sample((values, shift, scale) =>
        {
            var plain = Bootstrap.Mean(values);
            var moved = Bootstrap.Mean([.. values.Select(value => value * scale + shift)]);
            Assert.Equal(plain.Low * scale + shift, moved.Low, 1e-9);
            Assert.Equal(plain.High * scale + shift, moved.High, 1e-9);
            Assert.InRange(plain.Mean, plain.Low, plain.High);
        }, iter: 30);

    [Fact]
    public void Equal_values_give_equal_intervals_every_time()
    {
        double[] values = [.. Enumerable.Range(0, 12).Select(i => Math.Sin(i))];
        Assert.Equal(Bootstrap.Mean(values), Bootstrap.Mean(values));
    }

    /// <summary>
    /// On many normal samples the interval holds the true mean about as often as it promises. Resampled means never leave the range of the
    /// values, so with five or six values the interval falls some points short of its 95 %; the bounds leave room for that
    /// and for the noise of 600 samples.
    /// </summary>
    [Theory]
    [InlineData(5, 0.87, 0.975)]
    [InlineData(10, 0.91, 0.975)]
    [InlineData(6, 0.88, 0.975)]
    public void It_covers_the_mean_of_normal_values_as_often_as_promised(int count, double least, double most)
    {
        const int Samples = 600;
        var covered = 0;
        var draws = new float[count];
        for (var sample = 0; sample < Samples; sample++)
        {
            Philox.FillNormal(draws, 7, RandomPurpose.Statistics, 1_000_000 + (ulong)(count * 1000 + sample));
            var interval = Bootstrap.Mean([.. draws.Select(draw => 3.0 + 2.0 * draw)]);
            if (interval.Low <= 3.0 && 3.0 <= interval.High) covered++;
        }
        Assert.InRange(covered / (double)Samples, least, most);
    }

    /// <summary>For many values the half width approaches the closed form t · s / √n.</summary>
    [Fact]
    public void Its_width_approaches_the_closed_form()
    {
        var draws = new float[60];
        Philox.FillNormal(draws, 11, RandomPurpose.Statistics, 5);
        double[] values = [.. draws.Select(draw => (double)draw)];
        var mean = values.Average();
        var deviation = Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Length - 1));
        var expected = NormalDistribution.StudentQuantile(0.975, values.Length - 1) * deviation / Math.Sqrt(values.Length);
        var interval = Bootstrap.Mean(values);
        Assert.Equal(expected, (interval.High - interval.Low) / 2, expected * 0.04);
    }
}
