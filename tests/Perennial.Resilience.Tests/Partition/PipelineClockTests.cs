using CsCheck;
using Perennial.Resilience.Partition;

namespace Perennial.Resilience.Tests.Partition;

public sealed class PipelineClockTests
{
    [Fact]
    public void Alike_stages_take_what_the_formula_says() =>
        Gen.Select(Gen.Int[1, 6], Gen.Int[1, 20], Gen.Double[0.5, 2], Gen.Double[0.5, 3]).Sample((stages, waves, forward, backward) =>
        {
            var timing = PipelineClock.OneForwardOneBackward([.. Enumerable.Repeat(forward, stages)], [.. Enumerable.Repeat(backward, stages)], waves);
            Assert.Equal((waves + stages - 1) * (forward + backward), timing.Seconds, 1e-9);
            Assert.Equal(PipelineClock.Formula([.. Enumerable.Repeat(forward + backward, stages)], waves), timing.Seconds, 1e-9);
            Assert.Equal((stages - 1.0) / (waves + stages - 1), timing.BubbleShare, 1e-9);
            // Stage p holds at most P - p waves.
            Assert.Equal(Enumerable.Range(0, stages).Select(stage => Math.Min(waves, stages - stage)), timing.PeakWaves);
        });

    [Fact]
    public void Uneven_stages_stay_between_the_slowest_stage_alone_and_the_formula() =>
        Gen.Select(Gen.Double[0.2, 3].Array[1, 5], Gen.Int[1, 24]).Sample((forward, waves) =>
        {
            var backward = forward.Select(seconds => 2 * seconds).ToArray();
            var timing = PipelineClock.OneForwardOneBackward(forward, backward, waves);
            Assert.True(timing.Seconds >= waves * 3 * forward.Max() - 1e-9);
            Assert.True(timing.Seconds >= 3 * forward.Sum() - 1e-9);
            var formula = PipelineClock.Formula([.. forward.Select(seconds => 3 * seconds)], waves);
            Assert.InRange(timing.Seconds / formula, 0.5, 1 + 1e-9);
        });

    [Fact]
    public void Slow_links_are_waited_for()
    {
        var plain = PipelineClock.OneForwardOneBackward([1, 1], [2, 2], 1);
        var linked = PipelineClock.OneForwardOneBackward([1, 1], [2, 2], 1, linkSeconds: 0.5);
        Assert.Equal(6, plain.Seconds);
        Assert.Equal(7, linked.Seconds);
    }
}
