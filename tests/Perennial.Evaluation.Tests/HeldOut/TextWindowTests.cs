using CsCheck;
using Perennial.Training.HeldOut;

namespace Perennial.Evaluation.Tests;

public class TextWindowTests
{
    [Fact]
    public void Every_token_is_scored_once_and_with_the_context_that_was_promised() =>
        Gen.Select(Gen.Int[0, 70].Array[0, 5], Gen.Int[1, 20], Gen.Int[0, 19]).Where(t => t.Item3 < t.Item2).Sample((lengths, context, overlap) =>
        {
            var scored = lengths.Select(length => new int[length]).ToArray();
            foreach (var window in TextWindow.Plan(lengths, context, overlap))
            {
                Assert.InRange(window.Length, 1, context);
                Assert.InRange(window.First + window.Length, 1, lengths[window.Document]);
                Assert.True(window.Count > 0);
                if (window.First > 0) Assert.True(window.Scored >= overlap);
                for (var i = window.Scored; i < window.Length; i++) scored[window.Document][window.First + i]++;
            }
            Assert.All(scored.SelectMany(x => x), times => Assert.Equal(1, times));
        });

    [Fact]
    public void Without_overlap_the_stride_is_the_context_and_the_last_window_is_moved_left() => Assert.Equal(
        [new TextWindow(0, 0, 4, 0), new TextWindow(0, 4, 4, 0), new TextWindow(0, 6, 4, 2)],
        TextWindow.Plan([10], 4, 0));

    [Fact]
    public void Half_an_overlap_halves_the_stride() => Assert.Equal(
        [new TextWindow(0, 0, 4, 0), new TextWindow(0, 2, 4, 2), new TextWindow(0, 4, 4, 2), new TextWindow(1, 0, 2, 0)],
        TextWindow.Plan([8, 2], 4, 2));

    [Fact]
    public void An_overlap_that_leaves_nothing_to_score_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => TextWindow.Plan([5], 4, 4));
}
