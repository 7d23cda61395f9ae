using CsCheck;
using Perennial.Resilience.Restart;
using Perennial.Resilience.Simulation;

namespace Perennial.Resilience.Tests.Restart;

public sealed class MakespanTests
{
    [Theory]
    [InlineData(0.5, 60, 40, 1, 0.8, 0.1, 12, 102.0, 83.11, true)]
    [InlineData(0.5, 60, 40, 1, 0.3, 0.2, 30, 102.0, 116.25, false)]
    [InlineData(0.7, 600, 300, 20, 0.9, 0.05, 60, 757.14, 671.13, true)]
    public void The_papers_vectors_hold(double p, double s, double f, double c, double r, double q, double t, double without, double with, bool adopt)
    {
        var model = new MakespanModel(p, s, f, c);
        var detector = new Detector(r, q, t);
        Assert.Equal(without, model.WithoutDetector, 0.005);
        Assert.Equal(with, model.WithDetector(detector), 0.005);
        Assert.Equal(adopt, model.Pays(detector));
    }

    [Fact]
    public void The_rules_two_sides_are_the_papers()
    {
        var model = new MakespanModel(0.5, 60, 40, 1);
        Assert.Equal(14.0, model.Gain(new(0.8, 0.1, 12)), 12);
        Assert.Equal(5.5, model.Cost(new(0.8, 0.1, 12)), 12);
        Assert.Equal(2.0, model.Gain(new(0.3, 0.2, 30)), 12);
        Assert.Equal(7.7, model.Cost(new(0.3, 0.2, 30)), 12);
    }

    [Fact]
    public void The_closed_form_is_what_attempts_give_on_200_parameter_sets()
    {
        DurationLaw[] laws = [DurationLaw.Exponential, DurationLaw.Gamma, DurationLaw.LogNormal];
        double[] abilities = [0.3, 0.45, 0.6, 0.75, 0.9];
        (double Recall, double FalseAbort)[] detectors = [(0, 0), (0.5, 0.05), (0.8, 0.1), (0.9, 0.3), (0.3, 0.3)];
        (double Overhead, double Failure)[] costs = [(1, 40), (20, 40), (5, 90), (0, 20)];
        double[] shares = [0.2, 0.6];
        var (sets, worst) = (0, 0.0);
        foreach (var p in abilities)
            foreach (var (recall, falseAbort) in detectors)
                foreach (var (overhead, failure) in costs)
                    foreach (var share in shares)
                    {
                        var law = laws[sets % 3];
                        var model = new MakespanModel(p, new(60, law), new(failure, law), overhead);
                        var detector = new Detector(recall, falseAbort, new(60 * share, law), new(failure * share, law));
                        var draws = MakespanSampler.Draw(model, detector, 30_000, (ulong)sets);
                        worst = Math.Max(worst, Math.Abs(Controlled(draws, 1 / detector.Outcomes(p).Kept) / model.WithDetector(detector) - 1));
                        sets++;
                    }
        Assert.Equal(200, sets);
        Assert.InRange(worst, 0, 0.01);
    }

    // The mean, with the number of attempts as control variate: its mean is known to be 1/π, and most of the spread is its own.
    private static double Controlled(SampledMakespan[] draws, double attempts)
    {
        var (time, count) = (draws.Average(draw => draw.Time), draws.Average(draw => draw.Attempts));
        var slope = draws.Sum(draw => (draw.Time - time) * (draw.Attempts - count)) / draws.Sum(draw => (draw.Attempts - count) * (draw.Attempts - count));
        return time - slope * (count - attempts);
    }

    [Fact]
    public void The_variance_is_what_attempts_give()
    {
        foreach (var law in Enum.GetValues<DurationLaw>())
        {
            var model = new MakespanModel(0.6, new(60, law), new(40, law), 2);
            var detector = new Detector(0.7, 0.1, new(30, law), new(12, law));
            var draws = MakespanSampler.Draw(model, detector, 100_000, 5);
            var mean = draws.Average(draw => draw.Time);
            Assert.Equal(1, draws.Average(draw => (draw.Time - mean) * (draw.Time - mean)) / model.VarianceWithDetector(detector), 0.04);
        }
    }

    [Fact]
    public void The_rule_the_break_even_and_the_expectations_agree() =>
        Gen.Select(Gen.Double[0.05, 0.95], Gen.Double[1, 100], Gen.Double[0, 20], Gen.Double[0, 1], Gen.Double[0, 0.95], Gen.Double[0.05, 1.2], Gen.Double[0.05, 1.2])
            .Sample((p, f, c, r, q, ts, tf) =>
            {
                var model = new MakespanModel(p, 60, f, c);
                var detector = new Detector(r, q, ts * 60, tf * f);
                var difference = model.WithoutDetector - model.WithDetector(detector);
                if (Math.Abs(difference) < 1e-9) return;
                Assert.Equal(difference > 0, model.Pays(detector));
                // S leaves the decision as it is.
                Assert.Equal(model.Pays(detector), (model with { SuccessTime = 7 }).WithDetector(detector) < (model with { SuccessTime = 7 }).WithoutDetector);
                if (r <= q) Assert.False(model.Pays(detector));
                if (model.BreakEvenRecall(q, ts * 60, tf * f) is { } least) Assert.Equal(r > least, model.Pays(detector));
                else Assert.False(model.Pays(detector));
            });

    [Fact]
    public void Undecided_attempts_run_to_their_end()
    {
        var model = new MakespanModel(0.5, 60, 40, 1);
        var detector = new Detector(0.8, 0.1, 12);
        Assert.Equal(model.WithDetector(detector), model.WithOutcomes(detector.Outcomes(0.5), 12), 9);
        // The same attempts, of which a part was classified right and a part not at all.
        var outcomes = AttemptOutcomes.FromCounts(truePositive: 30, falseNegative: 5, trueNegative: 40, falsePositive: 4, undecidedSuccess: 15, undecidedFailure: 6);
        Assert.Equal(model.WithDetector(detector), model.WithOutcomes(outcomes, 12), 9);
        // The companion code's denominator leaves out undecided failures: it would promise too little.
        Assert.True(model.WithOutcomes(outcomes, 12) > (1 + 60 * 0.45 + 40 * 0.1 + 12 * 0.45) / (1 - 0.05 - 0.4 - 0.04));
        Assert.Throws<ArgumentException>(() => model.WithOutcomes(outcomes with { TruePositive = 0.9 }, 12));
    }

    [Fact]
    public void Draws_have_the_means_they_should()
    {
        var random = new RandomStream(3, 1);
        var draws = Enumerable.Range(0, 40_000).Select(_ => (Gamma: random.Gamma(0.4), Beta: random.Beta(2, 6), Log: random.LogNormal(0.5), Normal: random.Normal())).ToList();
        Assert.Equal(0.4, draws.Average(draw => draw.Gamma), 0.015);
        Assert.Equal(0.25, draws.Average(draw => draw.Beta), 0.005);
        Assert.Equal(1, draws.Average(draw => draw.Log), 0.015);
        Assert.Equal(1, draws.Average(draw => draw.Normal * draw.Normal), 0.04);
        Assert.Equal(new RandomStream(3, 1).Uniform(), 1 - new RandomStream(3, 1, mirrored: true).Uniform(), 12);
        Assert.NotEqual(new RandomStream(3, 1).Uniform(), new RandomStream(3, 2).Uniform());
    }
}
