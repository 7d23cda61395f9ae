using CsCheck;
using Perennial.Experiments.Statistics;

namespace Perennial.Experiments.Tests;

public sealed class AsymptoteFitTests
{
    [Fact]
    public void A_law_is_found_again_from_its_own_values() =>
        Gen.Select(Gen.Double[0.1, 4], Gen.Double[0.05, 3], Gen.Double[0.1, 2]).Sample((e, a, alpha) =>
        {
            double[] sizes = [0.15e6, 0.3e6, 0.6e6, 1.4e6, 3e6];
            var unit = Math.Pow(1e6, alpha);
            var law = AsymptoteFit.Of(sizes, [.. sizes.Select(n => e + a * unit * Math.Pow(n, -alpha))]);
            Assert.Equal(e, law.E, 0.02 + 0.02 * a);
            Assert.Equal(alpha, law.Alpha, 0.03 * alpha + 0.01);
            Assert.Equal(2e6, law.Inverse(law.At(2e6)), 2e3);
        }, iter: 60);

    [Fact]
    public void Flat_values_have_no_falling_part_and_asymptotes_are_never_below_zero()
    {
        Assert.Equal(3, AsymptoteFit.Of([1, 2, 4], [3, 3, 3]).At(100), 1e-9);
        Assert.True(AsymptoteFit.Of([1, 2, 4, 8], [8, 4, 2, 1]).E >= 0);
        Assert.Equal(double.PositiveInfinity, AsymptoteFit.Of([1, 2, 4], [3, 2.5, 2.25]).Inverse(0.1));
    }

    [Fact]
    public void Two_sizes_are_refused() => Assert.Throws<ArgumentException>(() => AsymptoteFit.Of([1, 1, 2], [3, 3.1, 2]));

    [Fact]
    public void Intervals_hold_the_fit_of_quiet_values_and_widen_with_noise()
    {
        double[] sizes = [1, 2, 4, 8];
        var quiet = AsymptoteFit.WithIntervals(sizes, [.. sizes.Select(n => (IReadOnlyList<double>)[2 + 1 / n, 2 + 1 / n])], draws: 50);
        Assert.Equal(2, quiet.E.Mean, 1e-3);
        Assert.Equal(quiet.E.Low, quiet.E.High, 1e-9);
        var noisy = AsymptoteFit.WithIntervals(sizes, [.. sizes.Select((n, i) => (IReadOnlyList<double>)[2 + 1 / n + 0.05, 2 + 1 / n - 0.05, 2 + 1 / n])], draws: 100);
        Assert.True(noisy.E.Low < 2 && noisy.E.High > 2);
    }
}
