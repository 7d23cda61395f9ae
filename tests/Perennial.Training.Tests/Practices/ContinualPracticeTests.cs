using Perennial.Core;
using Perennial.Training.Checkpoints;
using Perennial.Training.Loop;
using Perennial.Training.Practices;

namespace Perennial.Training.Tests.Practices;

/// <summary>Every practice against the plain float64 arithmetic of its paper, over several steps and stages.</summary>
public class ContinualPracticeTests
{
    private const double Rate = 0.05;
    private static readonly double[] Initial = [0.5, -1.25, 2, 0.125, -0.75, 1.5, -0.0625];

    // Gradients that no structure favours: the same formula in both worlds.
    private static double[] Gradient(long step) => [.. Enumerable.Range(0, PracticeBench.Length).Select(i => Math.Sin(1.7 * step + 0.9 * i) * (1 + 0.2 * i))];

    private static void Same(double[] expected, double[] actual, double tolerance = 2e-5)
    {
        for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], tolerance * Math.Max(1, Math.Abs(expected[i])));
    }

    private static double[] Map(Func<int, double> value) => [.. Enumerable.Range(0, PracticeBench.Length).Select(value)];

    [Theory]
    [InlineData(AverageRule.Uniform)]
    [InlineData(AverageRule.Ema)]
    [InlineData(AverageRule.EmaNormalized)]
    [InlineData(AverageRule.Linear)]
    public void The_average_of_the_last_snapshots_ends_with_the_stage(AverageRule rule)
    {
        using var bench = new PracticeBench(Initial) { StageSteps = 13 };
        using var average = new AveragePractice(new AverageOptions { Last = 3, Every = new(2, RunUnit.Steps), Weights = rule, Alpha = 0.3 }, bench.Parameters, new PracticeSetup(13, 8, 1));
        var (values, mean, snapshots) = (Initial.ToArray(), Initial.ToArray(), new List<double[]>());
        for (var step = 1; step <= 13; step++)
        {
            var gradient = Gradient(step);
            bench.Step(average, gradient, Rate);
            values = Map(i => values[i] - Rate * gradient[i]);
            if (step % 2 == 1)
            {
                // Newest first, at most three.
                snapshots.Insert(0, values);
                if (snapshots.Count > 3) snapshots.RemoveAt(3);
                var count = snapshots.Count;
                double Weight(int age) => rule switch
                {
                    AverageRule.Uniform => 1.0 / count,
                    AverageRule.Ema => Math.Pow(0.7, age) * (age == count - 1 ? 1 : 0.3),
                    AverageRule.EmaNormalized => Math.Pow(0.7, age) * 0.3 / (1 - Math.Pow(0.7, count)),
                    _ => (age + 1) / (count * (count + 1) / 2.0),
                };
                mean = Map(i => Enumerable.Range(0, count).Sum(age => Weight(age) * snapshots[age][i]));
            }
            Same(mean, PracticeBench.Get(average.Exports[0].Values));
            Same(values, bench.Values);
        }
    }

    [Fact]
    public void Gradients_of_old_and_new_text_are_compared_by_their_cosine()
    {
        // Every old sample has one gradient, whichever is drawn; the new text's depends on where it is read.
        var old = Gradient(3);
        using var bench = new PracticeBench(Initial, id => id >= PracticeBench.FirstSample ? old : Gradient(100 + id)) { StageSteps = 6 };
        using var alignment = new GradientAlignment(new GradientAlignmentOptions { Pairs = 5, Rows = 4 }, bench.Parameters);
        void Stage()
        {
            for (var step = 0; step < 6; step++)
            {
                bench.Step(alignment, Gradient(step), Rate);
                bench.Commit(alignment, 4 * step, 4);
            }
            bench.Evaluate(alignment);
        }
        Stage();
        Assert.Empty(bench.Measured);
        bench.EndStage(alignment);
        Stage();
        // The stage read 24 windows; five batches of four are spread evenly over them.
        var cosines = Enumerable.Range(0, 5).Select(pair => Gradient(100 + pair * 20 / 5)).Select(fresh => Dot(old, fresh) / Math.Sqrt(Dot(old, old) * Dot(fresh, fresh)));
        Assert.Equal(cosines.Average(), bench.Measured["cosine"], 1e-6);

        static double Dot(double[] left, double[] right) => left.Zip(right, (l, r) => l * r).Sum();
    }

    [Fact]
    public void Reptile_goes_back_after_every_window_and_at_the_end_of_a_stage()
    {
        using var bench = new PracticeBench(Initial) { StageSteps = 11 };
        using var reptile = new Reptile(new ReptileOptions { Every = new(3, RunUnit.Steps), Rate = 0.3, After = new(2, RunUnit.Steps) }, bench.Parameters);
        var (values, anchor) = (Initial.ToArray(), Initial.ToArray());
        for (var step = 1; step <= 11; step++)
        {
            var gradient = Gradient(step);
            bench.Step(reptile, gradient, Rate);
            values = Map(i => values[i] - Rate * gradient[i]);
            if (step <= 2) anchor = values;
            if (step is 5 or 8 or 11)
            {
                values = Map(i => anchor[i] + 0.3 * (values[i] - anchor[i]));
                anchor = values;
            }
            Same(values, bench.Values);
        }
        Same(anchor, PracticeBench.Get(reptile.Slots[0].Values));
    }

    [Fact]
    public void Reptile_closes_a_short_window_with_its_stage()
    {
        using var bench = new PracticeBench(Initial) { StageSteps = 2 };
        using var reptile = new Reptile(new ReptileOptions { Every = new(5, RunUnit.Steps), Rate = 0.5 }, bench.Parameters);
        bench.Step(reptile, Gradient(1), Rate);
        bench.Step(reptile, Gradient(2), Rate);
        Same(Map(i => Initial[i] - 0.5 * Rate * (Gradient(1)[i] + Gradient(2)[i])), bench.Values);
    }

    [Fact]
    public void Ewc_pulls_by_the_fisher_information_of_finished_stages()
    {
        using var bench = new PracticeBench(Initial, position => Gradient(100 + position));
        using var ewc = new Ewc(new EwcOptions { Strength = 0.7, Samples = 4, Keep = 0.5 }, bench.Parameters);
        var (values, importance, anchor) = (Initial.ToArray(), new double[PracticeBench.Length], Initial.ToArray());
        for (var stage = 0; stage < 3; stage++)
        {
            for (var step = 1; step <= 6; step++)
            {
                var gradient = Map(i => Gradient(10 * stage + step)[i] + 0.7 * importance[i] * (values[i] - anchor[i]));
                Same(gradient, bench.Step(ewc, Gradient(10 * stage + step), Rate));
                values = Map(i => values[i] - Rate * gradient[i]);
            }
            bench.EndStage(ewc);
            // Four windows at 0, 6, 12 and 18 of the 24 that the stage read, two targets each.
            importance = Map(i => 0.5 * importance[i] + Enumerable.Range(0, 4).Average(window => 2 * Math.Pow(Gradient(100 + 6 * window)[i], 2)));
            anchor = values;
            Same(importance, PracticeBench.Get(ewc.Slots[0].Values));
        }
        Same(values, bench.Values);
    }

    [Fact]
    public void Synaptic_intelligence_integrates_the_way_of_every_weight()
    {
        using var bench = new PracticeBench(Initial);
        using var si = new SynapticIntelligence(new SynapticIntelligenceOptions { Strength = 0.4, Damping = 0.01 }, bench.Parameters);
        var (values, importance, anchor) = (Initial.ToArray(), new double[PracticeBench.Length], Initial.ToArray());
        for (var stage = 0; stage < 3; stage++)
        {
            var path = new double[PracticeBench.Length];
            for (var step = 1; step <= 5; step++)
            {
                var own = Gradient(10 * stage + step);
                var gradient = Map(i => own[i] + 0.4 * importance[i] * (values[i] - anchor[i]));
                Same(gradient, bench.Step(si, own, Rate));
                path = Map(i => path[i] + own[i] * Rate * gradient[i]);
                values = Map(i => values[i] - Rate * gradient[i]);
            }
            bench.EndStage(si);
            importance = Map(i => importance[i] + Math.Max(0, path[i]) / (Math.Pow(values[i] - anchor[i], 2) + 0.01));
            anchor = values;
            Same(importance, PracticeBench.Get(si.Slots[0].Values), 1e-4);
        }
        Same(values, bench.Values);
    }

    [Fact]
    public void Rwalk_scores_the_fall_of_the_loss_by_the_distance_walked()
    {
        using var bench = new PracticeBench(Initial);
        var options = new RWalkOptions { Strength = 0.6, Alpha = 0.8, Every = 2, Epsilon = 1e-3 };
        using var walk = new RWalk(options, bench.Parameters);
        var (values, importance, anchor, start) = (Initial.ToArray(), new double[PracticeBench.Length], Initial.ToArray(), Initial.ToArray());
        double[] fisher = new double[PracticeBench.Length], fall = fisher, score = fisher, scores = fisher;
        void Close()
        {
            score = Map(i => score[i] + Math.Max(0, fall[i] / (0.5 * fisher[i] * Math.Pow(values[i] - start[i], 2) + 1e-3)));
            (fall, start) = (new double[PracticeBench.Length], values);
        }
        for (var stage = 0; stage < 3; stage++)
        {
            for (var step = 1; step <= 5; step++)
            {
                var own = Gradient(10 * stage + step);
                var gradient = Map(i => own[i] + 0.6 * importance[i] * (values[i] - anchor[i]));
                Same(gradient, bench.Step(walk, own, Rate), 1e-4);
                fisher = Map(i => 0.8 * own[i] * own[i] + 0.2 * fisher[i]);
                fall = Map(i => fall[i] + own[i] * Rate * gradient[i]);
                values = Map(i => values[i] - Rate * gradient[i]);
                if (step % 2 == 0) Close();
            }
            bench.EndStage(walk);
            Close();
            scores = stage == 0 ? score : Map(i => (scores[i] + score[i]) / 2);
            importance = Map(i => fisher[i] / fisher.Max() + scores[i] / scores.Max());
            (anchor, score) = (values, new double[PracticeBench.Length]);
            Same(importance, PracticeBench.Get(walk.Slots[0].Values), 1e-3);
        }
        Same(values, bench.Values, 1e-4);
    }

    [Fact]
    public void The_update_ledger_tells_relative_ways_of_bottom_and_top()
    {
        using var bench = new PracticeBench(Initial);
        using var ledger = new UpdateLedger(new UpdateLedgerOptions { Blocks = 1 }, bench.Parameters);
        bench.Step(ledger, Gradient(3), Rate);
        bench.Evaluate(ledger);
        double Relative(Range range) => Gradient(3)[range].Sum(g => Rate * Math.Abs(g)) / Initial[range].Sum(Math.Abs);
        Assert.Equal(Relative(0..4), bench.Measured["bottom_update"], 1e-6);
        Assert.Equal(Relative(0..4) / Relative(4..7), bench.Measured["bottom_to_top_update"], 1e-5);
    }

    [Fact]
    public void Frozen_blocks_stay_and_give_no_gradient()
    {
        using var bench = new PracticeBench(Initial);
        using var freeze = new Freeze(new FreezeOptions { Bottom = 1 }, bench.Parameters);
        var values = Initial.ToArray();
        for (var step = 1; step <= 5; step++)
        {
            // Weight decay, or moments of an earlier stage, would move what has no gradient: the fourth step does.
            var own = Gradient(step);
            Same([0, 0, 0, 0, .. own[4..]], bench.Step(freeze, own, Rate, drift: step == 4 ? 0.25 : 0));
            values = Map(i => i < 4 ? Initial[i] : values[i] - Rate * own[i] + (step == 4 ? 0.25 : 0));
            Same(values, bench.Values);
        }
        Assert.Contains("3 bottom", Assert.Throws<PerennialException>(() => new Freeze(new FreezeOptions { Bottom = 3 }, bench.Parameters)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ema_and_average_are_their_formulas()
    {
        using var bench = new PracticeBench(Initial);
        using var ema = new EmaPractice(new EmaOptions { Decay = 0.8, WarmUp = true }, bench.Parameters);
        var (values, average) = (Initial.ToArray(), Initial.ToArray());
        for (var step = 1; step <= 12; step++)
        {
            var own = Gradient(step);
            bench.Step(ema, own, Rate);
            values = Map(i => values[i] - Rate * own[i]);
            var decay = Math.Min(0.8, (1.0 + step) / (10 + step));
            average = Map(i => decay * average[i] + (1 - decay) * values[i]);
            Same(average, PracticeBench.Get(ema.Slots[0].Values));
        }
    }
}
