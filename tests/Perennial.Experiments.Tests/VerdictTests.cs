using Perennial.Experiments.Papers;
using Perennial.Experiments.Verdicts;

namespace Perennial.Experiments.Tests;

public sealed class VerdictTests
{
    private static readonly Measurements Measured = new([1, 2, 3, 4, 5],
    [
        (new Cell("base", "raw"), [1.00, 1.10, 1.20, 1.30, 1.40]),
        (new Cell("new", "raw"), [0.95, 1.05, 1.16, 1.25, 1.41]),
        (new Cell("new", "average"), [0.90, 1.00, 1.10, 1.20, 1.30]),
    ]);

    private static Condition Difference(double atMost, double seeds = 0) =>
        new() { Contrast = new Dictionary<string, double> { ["new"] = 1, ["base"] = -1 }, AtMost = atMost, Seeds = seeds };

    private static Hypothesis One(string id, bool decides, params Condition[] conditions) =>
        new() { Id = id, Statement = id, Decides = decides, Conditions = conditions };

    private static Verdict Judge(params Hypothesis[] hypotheses) => VerdictRule.Of(VerdictRule.Judge(hypotheses, Measured));

    [Fact]
    public void Differences_are_taken_seed_by_seed()
    {
        var judged = VerdictRule.Judge([One("a", true, Difference(-0.03))], Measured)[0].Conditions[0];
        Assert.Equal([-0.05, -0.05, -0.04, -0.05, 0.01], judged.Values);
        Assert.Equal(-0.036, judged.Interval!.Value.Mean, 1e-12);
        Assert.Equal(4, judged.Meeting);
        Assert.True(judged.Holds);
    }

    [Fact]
    public void Only_the_threshold_turns_a_verdict()
    {
        Assert.Equal(Verdict.Holds, Judge(One("a", true, Difference(-0.036))));
        Assert.Equal(Verdict.DoesNotHold, Judge(One("a", true, Difference(-0.0361))));
    }

    [Fact]
    public void Seeds_must_meet_the_threshold_on_their_own_where_asked()
    {
        Assert.Equal(Verdict.Holds, Judge(One("a", true, Difference(-0.03, 0.8))));
        Assert.Equal(Verdict.DoesNotHold, Judge(One("a", true, Difference(-0.03, 1))));
        Assert.Equal(3, Difference(0, 0.8).Needed(3));
        Assert.Equal(4, Difference(0, 0.8).Needed(5));
    }

    [Fact]
    public void A_failing_hypothesis_that_does_not_decide_makes_it_mixed() =>
        Assert.Equal(Verdict.Mixed, Judge(One("a", true, Difference(-0.03)), One("b", false, Difference(-1))));

    [Fact]
    public void The_lowest_cell_is_named_and_can_be_contrasted()
    {
        var lowest = new Condition { LowestIn = ["new@average"] };
        var gap = new Condition { Contrast = new Dictionary<string, double> { [Condition.Lowest] = 1, ["base"] = -1 }, AtMost = -0.1, Seeds = 1 };
        var judged = VerdictRule.Judge([One("d", true, lowest, gap)], Measured)[0];
        Assert.True(judged.Holds);
        Assert.Equal("new@average", judged.Conditions[1].Lowest);
        Assert.Equal(Verdict.DoesNotHold, Judge(One("d", true, lowest with { LowestIn = ["new"] })));
    }

    [Fact]
    public void Values_are_rounded_as_they_are_printed_before_anything_is_computed()
    {
        var measured = new Measurements([1], [(new Cell("a", "raw"), [0.12345]), (new Cell("b", "raw"), [0.12344])]);
        Assert.Equal([0.0001], measured.Contrast(new Dictionary<string, double> { ["a"] = 1, ["b"] = -1 }));
    }
}
