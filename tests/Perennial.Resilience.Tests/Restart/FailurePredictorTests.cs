using Perennial.Resilience.Restart;
using Perennial.Resilience.Simulation;

namespace Perennial.Resilience.Tests.Restart;

public sealed class FailurePredictorTests
{
    // Losses fall from 6 to about 3; a run that will fail falls slower, spikes now and then and has growing gradient norms.
    private static LabelledRun Run(ulong seed, int steps = 100)
    {
        var random = new RandomStream(seed, 4);
        var fails = random.Uniform() < 0.5;
        var severity = fails ? 0.3 + 0.7 * random.Uniform() : 0.25 * random.Uniform();
        var (loss, norm, clipped) = (new double[steps], new double[steps], new double[steps]);
        for (var step = 0; step < steps; step++)
        {
            var spike = random.Uniform() < 0.04 * severity ? 2 : 0;
            loss[step] = 3 + 3 * Math.Exp(-step / (25 * (1 + severity))) + 0.08 * random.Normal() + spike;
            norm[step] = Math.Exp(0.2 * random.Normal()) * (1 + severity * step / 50.0);
            clipped[step] = norm[step] > 1.5 ? 1 : 0;
        }
        return new(new() { Loss = loss, GradientNorm = norm, Clipped = clipped }, fails);
    }

    private static List<LabelledRun> Runs(int count, ulong seed) => [.. Enumerable.Range(0, count).Select(i => Run(seed * 10_000 + (ulong)i))];

    [Fact]
    public void It_tells_failing_runs_early_and_its_probabilities_are_honest()
    {
        var predictor = FailurePredictor.Train(Runs(200, 1), steps: 40, window: 20);
        var tested = Runs(400, 2).Select(run => (run.Failed, Probability: predictor.Probability(run.Series))).ToList();
        Assert.True(tested.Count(test => test.Failed == (test.Probability > 0.5)) / 400.0 > 0.9);
        // Calibration: the mean prediction is the share of failures, overall and in the uncertain middle.
        Assert.Equal(tested.Average(test => test.Failed ? 1.0 : 0), tested.Average(test => test.Probability), 0.05);
        Assert.True(predictor.Weights["loss-z"] > 0);
        Assert.All(tested, test => Assert.InRange(test.Probability, 1e-6, 1 - 1e-6));
    }

    [Fact]
    public void Chosen_thresholds_lower_the_makespan_on_runs_they_were_not_chosen_on()
    {
        var early = FailurePredictor.Train(Runs(200, 1), steps: 20, window: 15);
        var late = FailurePredictor.Train(Runs(200, 1), steps: 50, window: 20);
        ScoredAttempt Score(LabelledRun run) => new([early.Probability(run.Series), late.Probability(run.Series)], !run.Failed, 100);
        var chosen = DetectorThreshold.Choose([.. Runs(120, 5).Select(Score)], [20, 50], overhead: 5);
        var fresh = Runs(300, 6).Select(Score).ToList();
        var with = DetectorThreshold.Evaluate(fresh, [20, 50], 5, chosen.Thresholds);
        var without = DetectorThreshold.Evaluate(fresh, [20, 50], 5, [2, 2]);
        Assert.True(with.Makespan < 0.9 * without.Makespan, $"{with.Makespan} against {without.Makespan}");
        Assert.True(chosen.Makespan <= DetectorThreshold.Evaluate([.. Runs(120, 5).Select(Score)], [20, 50], 5, [0.5, 0.5]).Makespan);
    }

    [Fact]
    public void Useless_scores_lead_to_thresholds_that_never_abort()
    {
        var attempts = Enumerable.Range(0, 40).Select(i => new ScoredAttempt([0.5], i % 2 == 0, 100)).ToList();
        var chosen = DetectorThreshold.Choose(attempts, [50], overhead: 5);
        Assert.Equal((0.0, 0.0), (chosen.Detector.Recall, chosen.Detector.FalseAbort));
        Assert.Equal(chosen.Makespan, new MakespanModel(0.5, 100, 100, 5).WithoutDetector, 9);
        // An attempt that ended before the check cannot be aborted there.
        var ended = DetectorThreshold.Evaluate([new([], false, 10), new([0.1], true, 100)], [50], 5, [0.05]);
        Assert.Equal(0, ended.Detector.Recall);
        Assert.Equal(1, ended.Detector.FalseAbort);
        Assert.Equal(double.PositiveInfinity, ended.Makespan);
    }

    [Fact]
    public void Broken_numbers_are_very_bad_and_stay_finite()
    {
        var reference = ReferenceCurve.Of([Run(1).Series, Run(3).Series]);
        var features = FailureFeatures.Of(new() { Loss = [.. Enumerable.Repeat(double.NaN, 50)], GradientNorm = [.. Enumerable.Repeat(double.PositiveInfinity, 50)] }, reference, 50, 20);
        Assert.Equal(FailureFeatures.Names.Count, features.Length);
        Assert.All(features, value => Assert.True(double.IsFinite(value)));
        Assert.Equal(50, features[0]);
        Assert.Throws<ArgumentException>(() => FailurePredictor.Train([.. Runs(60, 1).Where(run => run.Failed)], 20, 10));
    }

    [Fact]
    public void The_regression_finds_the_generating_weights()
    {
        var random = new RandomStream(8, 2);
        var rows = Enumerable.Range(0, 20_000).Select(_ => new[] { random.Normal(), 3 + 2 * random.Normal(), 7.0 }).ToList();
        var targets = rows.Select(row => random.Uniform() < LogisticRegression.Sigmoid(0.5 + 1.5 * row[0] - 0.5 * row[1]) ? 1.0 : 0).ToList();
        var fit = LogisticRegression.Fit(rows, targets, 1e-3);
        Assert.Equal(1.5, fit.Weights[0] / fit.Scales[0], 0.1);
        Assert.Equal(-0.5, fit.Weights[1] / fit.Scales[1], 0.05);
        Assert.Equal(0.5, fit.Score([0, 0, 7]), 0.12);
    }
}
