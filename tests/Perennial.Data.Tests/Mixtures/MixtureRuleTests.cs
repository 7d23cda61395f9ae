using CsCheck;
using Perennial.Core;
using Perennial.Data.Mixtures;

namespace Perennial.Data.Tests.Mixtures;

/// <summary>Each mixture's weights against its published formula, computed here by hand.</summary>
public class MixtureRuleTests
{
    private static MixtureContext Context(long[] windows, double[]? weights = null, long steps = 100, long batch = 10) =>
        new([.. windows.Select((count, i) => new MixtureSource($"s{i}", weights?[i] ?? 1, count))], new RunShape(batch, steps, 32));

    private static MixtureMoment At(long position, params long[] delivered) => new(position, delivered);

    private static void Close(IEnumerable<double> expected, IEnumerable<double> actual)
    {
        double[] shares = [.. actual];
        var sum = shares.Sum();
        Assert.Equal(expected.Count(), shares.Length);
        foreach (var (one, other) in expected.Zip(shares)) Assert.Equal(one, other / sum, 1e-12);
    }

    [Fact]
    public void Temperature_flattens_sizes()
    {
        Close([0.9, 0.1], new TemperatureMixture(new() { Temperature = 1 }, Context([900, 100])).Weights(At(0, 0, 0), null));
        Close([0.75, 0.25], new TemperatureMixture(new() { Temperature = 2 }, Context([900, 100])).Weights(At(0, 0, 0), null));
        Close([0.5, 0.5], new TemperatureMixture(new() { Temperature = 1e6 }, Context([101, 100])).Weights(At(0, 0, 0), null).Select(share => Math.Round(share, 4)));
    }

    [Fact]
    public void Unimax_caps_small_sources_and_shares_the_rest()
    {
        // 1,000 samples; source 0 can give 50 · 2, the others share 900.
        Close([0.1, 0.45, 0.45], new UnimaxMixture(new() { Epochs = 2 }, Context([50, 10_000, 20_000])).Weights(At(0, 0, 0, 0), null));
        var error = Assert.Throws<PerennialException>(() => new UnimaxMixture(new() { Epochs = 2 }, Context([50, 100])));
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains("300 samples, but the run takes 1000", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Unimax_never_exceeds_its_cap() => Gen.Select(Gen.Long[1, 5000].Array[1, 6], Gen.Double[0.1, 5].Array[6], Gen.Double[1, 8]).Sample((windows, weights, epochs) =>
    {
        var context = Context(windows, weights[..windows.Length]);
        if (windows.Sum() * epochs < context.Run.Samples) return;
        var shares = new UnimaxMixture(new() { Epochs = epochs }, context).Weights(At(0), null);
        Assert.Equal(1, shares.Sum(), 1e-9);
        for (var i = 0; i < windows.Length; i++) Assert.InRange(shares[i] * context.Run.Samples, 0, epochs * windows[i] * (1 + 1e-9));
    }, iter: 200);

    [Fact]
    public void Stages_change_at_whole_steps()
    {
        var mixture = new StagedMixture(new() { Stages = [new() { For = new(0.25, RunUnit.Fraction), Weights = [1, 0] }, new() { For = new(3200, RunUnit.Tokens), Weights = [1, 1] }, new() { Weights = [0, 1] }] }, Context([100, 100]));
        Assert.Equal(250, mixture.Next(0));
        Assert.Equal(350, mixture.Next(250));
        Assert.Equal(long.MaxValue, mixture.Next(350));
        Assert.Equal([1.0, 1.0], mixture.Weights(At(349), null));
        Assert.Contains("2 weights for 3 sources", Assert.Throws<PerennialException>(() => new StagedMixture(new() { Stages = [new() { Weights = [1, 1] }] }, Context([1, 1, 1]))).Message, StringComparison.Ordinal);
        Assert.NotEmpty(new StagedMixtureOptions { Stages = [new() { Weights = [1] }, new() { Weights = [1] }] }.Problems());
    }

    [Fact]
    public void A_schedule_delivers_the_line_between_its_points()
    {
        var mixture = new ScheduledMixture(new() { Points = [new() { At = new(0.1, RunUnit.Fraction), Weights = [1, 0] }, new() { At = new(0.9, RunUnit.Fraction), Weights = [0, 1] }], Every = new(7, RunUnit.Steps) }, Context([5000, 5000]));
        var timeline = new MixtureTimeline(2, 1);
        while (timeline.End < 1000)
        {
            var next = mixture.Next(timeline.End);
            timeline.Add(new MixtureSegment(timeline.End, next, mixture.Weights(At(timeline.End), null)));
        }
        Assert.Equal(100, timeline.Delivered(100)[0]);
        Assert.InRange(timeline.Delivered(500)[0], 392, 408); // 100, and 400 · (1 + 0.5) / 2 under the falling line
        Assert.InRange(timeline.Delivered(1000)[0], 490, 510);
        Assert.Equal(timeline.Delivered(900)[0], timeline.Delivered(1000)[0]);
    }

    [Fact]
    public void Skill_it_is_mirror_descent_over_a_window()
    {
        var options = new SkillItMixtureOptions { Every = new(10, RunUnit.Steps), Floor = 0, Eta = 0.7, Window = 2, Graph = "complete" };
        var mixture = new SkillItMixture(options, Context([100, 100, 100]));
        ((IGraphMixture)mixture).Take([[1, 0.5, 0], [0, 1, 0.5], [0, 0, 1]]);
        double[][] losses = [[3, 3, 3], [2, 3, 4], [1, 2.5, 3.5], [0.5, 1, 3]];
        Close(Soft(0.7 * 1.5, 0.7 * 1.5, 0.7), mixture.Weights(At(0, 0, 0, 0), losses[0]));
        double[] Help(params double[] l) => [l[0] + 0.5 * l[1], l[1] + 0.5 * l[2], l[2]];
        Close(Soft([.. Help(losses[1]).Select(x => 0.7 * x)]), mixture.Weights(At(100, 0, 0, 0), losses[1]));
        Close(Soft([.. Help(losses[1]).Zip(Help(losses[2]), (a, b) => 0.7 * (a + b))]), mixture.Weights(At(200, 0, 0, 0), losses[2]));
        Close(Soft([.. Help(losses[2]).Zip(Help(losses[3]), (a, b) => 0.7 * (a + b))]), mixture.Weights(At(300, 0, 0, 0), losses[3]));
        Assert.Equal(400, mixture.Next(300));
    }

    [Fact]
    public void Huge_losses_do_not_overflow_and_the_floor_holds()
    {
        var mixture = new SkillItMixture(new() { Eta = 1000, Floor = 0.05, Graph = "identity" }, Context([100, 100, 100]));
        _ = mixture.Weights(At(0, 0, 0, 0), [1, 1, 1]);
        var shares = mixture.Weights(At(170, 0, 0, 0), [1e4, 1, 2]);
        Close([0.9, 0.05, 0.05], shares);
    }

    [Fact]
    public void An_exhausted_source_gets_nothing_more()
    {
        var mixture = new SkillItMixture(new() { Eta = 0, Graph = "identity", Epochs = 2, Floor = 0 }, Context([100, 10]));
        Close([0.5, 0.5], mixture.Weights(At(0, 0, 0), [1, 1]));
        Close([1, 0], mixture.Weights(At(170, 150, 20), [1, 1]));
    }

    [Fact]
    public void Doremi_follows_the_excess_over_its_reference()
    {
        var mixture = new DoremiMixture(new() { Eta = 0.5, Smoothing = 0.1, Reference = [1, 2], Floor = 0 }, Context([100, 100], [3, 1]));
        // α ∝ (0.75 e^(0.5·1), 0.25 e^0), then smoothed by 0.1.
        var raised = 0.75 * Math.Exp(0.5) / (0.75 * Math.Exp(0.5) + 0.25);
        Close([0.9 * raised + 0.05, 0.9 * (1 - raised) + 0.05], mixture.Weights(At(0, 0, 0), [2, 1.5]));
        Assert.NotEmpty(new DoremiMixtureOptions().Problems());
    }

    [Fact]
    public void The_bandit_explores_first_and_weighs_rewards_by_shares()
    {
        var mixture = new BanditMixture(new() { Memory = 0.5, Floor = 0 }, Context([1000, 1000]));
        Close([0.5, 0.5], mixture.Weights(At(0, 0, 0), [4, 2]));
        double E(long t) => Math.Min(0.5, Math.Sqrt(Math.Log(2) / (2 * t)));
        // R = 0.5 · L / 0.5 = L; source 1 gave nothing since, so it keeps reward 0.
        var soft = Soft(E(1) * 4, 0);
        Close(soft.Select(share => (1 - 2 * E(2)) * share + E(2)), mixture.Weights(At(10, 10, 0), [4, 2]));
    }

    [Theory]
    [InlineData("skill-it")]
    [InlineData("doremi")]
    [InlineData("bandit")]
    public void Memory_survives_saving(string kind)
    {
        var context = Context([100, 100, 100]);
        OnlineMixture Make() => kind switch
        {
            "skill-it" => new SkillItMixture(new() { Graph = "complete", Relative = true }, context),
            "doremi" => new DoremiMixture(new() { Reference = [1, 1, 1] }, context),
            _ => new BanditMixture(new(), context),
        };
        var (through, stopped) = (Make(), Make());
        for (var round = 0; round < 8; round++)
        {
            double[] losses = [3.0 / (round + 1), 2 + 0.1 * round, 1.5];
            var moment = At(round * 100, 40 * round, 30 * round, 30 * round);
            var expected = through.Weights(moment, losses);
            Assert.Equal(expected, stopped.Weights(moment, losses));
            var saved = System.Text.Json.Nodes.JsonNode.Parse(stopped.Save()!.ToJsonString())!.AsObject();
            stopped = Make();
            stopped.Load(saved);
        }
    }

    [Fact]
    public void Graphs_come_from_gains_and_permute_into_controls()
    {
        var alone = new double[][] { [1, 2, 3], [3, 1, 3], [3, 3, 1] };
        var together = new Dictionary<(int, int), IReadOnlyList<double>> { [(0, 1)] = [1.2, 0.5, 3], [(0, 2)] = [1.1, 3, 1.2], [(1, 2)] = [3, 1.1, 0.999] };
        double[][] expected = [[1, 0.5, 0], [0, 1, 0], [0, 0, 1]];
        var graph = SkillGraph.From([3, 3, 3], alone, together, new());
        Assert.Equal(expected, graph);
        Assert.Equal(1.0 / 6, SkillGraph.Density(graph), 1e-12);
        double[][] mirrored = [[1, 0, 0], [0, 1, 0], [0, 0.5, 1]];
        Assert.Equal(mirrored, SkillGraph.Permuted(graph));
        var singles = SkillGraph.From([4, 4, 4], alone, null, new() { Method = GraphMethod.Singles });
        Assert.Equal(2.0 / 3, singles[0][1], 1e-12); // dropped by 2 of 4 through source 0, by 3 of 4 through itself
    }

    private static double[] Soft(params double[] exponents)
    {
        var sum = exponents.Sum(Math.Exp);
        return [.. exponents.Select(exponent => Math.Exp(exponent) / sum)];
    }

    [Fact]
    public void Perplexity_feedback_gives_more_to_what_improves_least()
    {
        // Two topics and a source of fixed share 0.5.
        var mixture = new PerplexityMixture(new() { Topics = 2, Gain = 0.5, Floor = 0, Cap = 2 }, Context([100, 100, 100], [0.3, 0.2, 0.5]));
        double[] first = [2, 3, 9], second = [1.5, 2.9, 1];
        Close([0.3, 0.2, 0.5], mixture.Weights(At(0, 0, 0, 0), first));
        double[] change = [Math.Exp(1.5) - Math.Exp(2), Math.Exp(2.9) - Math.Exp(3)];
        var sum = change.Sum(Math.Abs);
        double[] wanted = [0.3 * (1 + 0.5 * change[0] / sum), 0.2 * (1 + 0.5 * change[1] / sum)];
        double[] expected = [wanted[0] / wanted.Sum() * 0.5, wanted[1] / wanted.Sum() * 0.5, 0.5];
        Close(expected, mixture.Weights(At(100, 0, 0, 0), second));
        var again = new PerplexityMixture(new() { Topics = 2, Gain = 0.5, Floor = 0, Cap = 2 }, Context([100, 100, 100], [0.3, 0.2, 0.5]));
        again.Load(mixture.Save());
        Close(mixture.Weights(At(200, 0, 0, 0), first), again.Weights(At(200, 0, 0, 0), first));
        // A cap holds, and what is cut goes to the other topics.
        var capped = new PerplexityMixture(new() { Gain = 10, Floor = 0, Cap = 1.5, Log = true }, Context([100, 100, 100]));
        capped.Weights(At(0, 0, 0, 0), [1, 1, 1]);
        Close([0.25, 0.25, 0.5], capped.Weights(At(100, 0, 0, 0), [1, 1, 2]));
        Assert.Contains("4 topics of 3 sources", Assert.Throws<PerennialException>(() => new PerplexityMixture(new() { Topics = 4 }, Context([1, 1, 1]))).Message, StringComparison.Ordinal);
    }
}
