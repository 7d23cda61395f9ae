using Perennial.Training.Checkpoints;
using Perennial.Training.Loop;
using Perennial.Training.Recipes;
using Perennial.Training.State;

namespace Perennial.Training.Tests;

public class SpikeTests
{
    private static readonly Progress Calm = new() { Losses = [.. Enumerable.Range(0, 64).Select(i => 4 + 0.1 * Math.Sin(i))], Norms = [.. Enumerable.Range(0, 64).Select(i => 1 + 0.1 * Math.Cos(i))] };

    [Theory]
    [InlineData(double.NaN, 1.0, "the loss is NaN")]
    [InlineData(double.PositiveInfinity, 1.0, "the loss is")]
    [InlineData(4.0, double.NaN, "the gradient norm is NaN")]
    [InlineData(8.0, 1.0, "the loss 8")]
    [InlineData(4.0, 9.0, "the gradient norm 9")]
    public void Refuses_what_is_not_finite_or_spikes(double loss, double norm, string expected) =>
        Assert.StartsWith(expected, SpikeTest.Reason(new SpikeOptions(), Calm, loss, norm), StringComparison.Ordinal);

    [Fact]
    public void Lets_ordinary_steps_and_falling_losses_pass()
    {
        Assert.Null(SpikeTest.Reason(new SpikeOptions(), Calm, 4.2, 1.1));
        Assert.Null(SpikeTest.Reason(new SpikeOptions(), Calm, 1.0, 0.01));
        Assert.Null(SpikeTest.Reason(new SpikeOptions { Threshold = 0 }, Calm, 400, 100));
        Assert.Null(SpikeTest.Reason(new SpikeOptions(), new Progress(), 400, 100));
    }

    [Fact]
    public void History_keeps_the_newest_of_its_window() => Assert.Equal([3.0, 4, 5], SpikeTest.Remember([1, 2, 3, 4], 5, 3));

    [Fact]
    public void Progress_round_trips_to_the_bit_and_its_text_shows_every_change()
    {
        var progress = Calm with { Step = 7, Tokens = 9, Cursor = 11, LeftOut = [3], RateFactor = 0.1, LastLoss = Math.PI };
        var text = ProgressJson.Write(progress);
        Assert.Equal(text, ProgressJson.Write(ProgressJson.Read(text, "test")));
        Progress[] changed = [progress with { Step = 8 }, progress with { Cursor = 12 }, progress with { LeftOut = [4] }, progress with { RateFactor = 0.1000000001 }, progress with { Losses = [1] }];
        Assert.All(changed, other => Assert.NotEqual(text, ProgressJson.Write(other)));
    }

    [Theory]
    [InlineData(AverageRule.Uniform, new[] { 1 / 3.0, 1 / 3.0, 1 / 3.0 })]
    [InlineData(AverageRule.Ema, new[] { 0.2, 0.16, 0.64 })]
    [InlineData(AverageRule.Linear, new[] { 1 / 6.0, 2 / 6.0, 3 / 6.0 })]
    public void Average_weights_are_the_papers(AverageRule rule, double[] expected)
    {
        foreach (var (weight, wanted) in AverageWeights.Of(rule, 3, 0.2).Zip(expected)) Assert.Equal(wanted, weight, 1e-12);
    }
}
