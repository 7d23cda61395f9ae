using static TorchSharp.torch;

namespace Perennial.Optimization.Tests;

public class GradientNormTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(17)]
    [InlineData(300_001)]
    public void Equals_the_norm_in_double(int length)
    {
        using var scope = NewDisposeScope();
        var gradient = randn(length);
        var expected = Math.Sqrt(gradient.data<float>().ToArray().Sum(x => (double)x * x));
        Assert.Equal(1, GradientNorm.Of(gradient).Value / expected, 1e-12);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void One_bad_element_is_found(float bad)
    {
        using var scope = NewDisposeScope();
        var gradient = zeros(100_003);
        gradient[99_999] = bad;
        Assert.False(GradientNorm.Of(gradient).IsFinite);
    }

    [Fact]
    public void The_largest_floats_are_finite()
    {
        using var scope = NewDisposeScope();
        Assert.True(GradientNorm.Of(full(1000, float.MaxValue)).IsFinite);
    }

    [Fact]
    public void Clipping_only_shrinks()
    {
        Assert.Equal(1, new GradientNorm(0.5).ClipScale(1));
        Assert.Equal(0.25, new GradientNorm(4).ClipScale(1), 1e-6);
        Assert.Equal(1, new GradientNorm(4).ClipScale(0));
    }
}
