namespace Perennial.Resilience.Restart;

/// <summary>A finished run that a predictor learns from.</summary>
/// <param name="Series">What it recorded.</param>
/// <param name="Failed">How it ended.</param>
public sealed record LabelledRun(RunSeries Series, bool Failed);

/// <summary>
/// Predicts from a run's first steps whether it will fail: features, logistic regression, and a calibration of its scores on runs that the regression
/// did not see (Platt). Runs are taken in the order of time: the newest 30 % calibrate, the older ones train (paper 19 §7).
/// </summary>
public sealed class FailurePredictor
{
    private readonly ReferenceCurve reference;
    private readonly LogisticRegression regression, calibration;

    private FailurePredictor(ReferenceCurve reference, LogisticRegression regression, LogisticRegression calibration, int steps, int window)
    {
        (this.reference, this.regression, this.calibration, Steps, Window) = (reference, regression, calibration, steps, window);
    }

    /// <summary>Steps after which it predicts.</summary>
    public int Steps { get; }

    /// <summary>Steps that the features look back.</summary>
    public int Window { get; }

    /// <summary>The regression's weights by feature name.</summary>
    public IReadOnlyDictionary<string, double> Weights => FailureFeatures.Names.Zip(regression.Weights).ToDictionary(pair => pair.First, pair => pair.Second);

    /// <summary>Trains and calibrates.</summary>
    /// <param name="runs">Finished runs, oldest first; runs that ended before <paramref name="steps"/> are left out.</param>
    /// <param name="steps">Steps after which it predicts.</param>
    /// <param name="window">Steps that the features look back.</param>
    /// <exception cref="ArgumentException">One of the two parts has no success or no failure.</exception>
    public static FailurePredictor Train(IReadOnlyList<LabelledRun> runs, int steps, int window)
    {
        ArgumentNullException.ThrowIfNull(runs);
        var usable = runs.Where(run => run.Series.Loss.Count >= steps).ToList();
        var older = usable.Take((int)(usable.Count * 0.7)).ToList();
        var newer = usable.Skip(older.Count).ToList();
        if (new[] { older, newer }.Any(part => part.All(run => run.Failed) || !part.Any(run => run.Failed)))
            throw new ArgumentException($"{usable.Count} runs of at least {steps} steps: the older 70 % and the newer 30 % each need a success and a failure");
        var reference = ReferenceCurve.Of([.. older.Where(run => !run.Failed).Select(run => run.Series)]);
        double[] Row(LabelledRun run) => FailureFeatures.Of(run.Series, reference, steps, window);
        var regression = LogisticRegression.Fit([.. older.Select(Row)], [.. older.Select(run => run.Failed ? 1.0 : 0.0)]);
        // Platt's targets keep a calibration on few, perfectly separated runs from claiming certainty.
        var (bad, good) = (newer.Count(run => run.Failed), newer.Count(run => !run.Failed));
        var calibration = LogisticRegression.Fit(
            [.. newer.Select(run => new[] { regression.Score(Row(run)) })],
            [.. newer.Select(run => run.Failed ? (bad + 1.0) / (bad + 2) : 1.0 / (good + 2))], penalty: 1e-3);
        return new(reference, regression, calibration, steps, window);
    }

    /// <summary>The probability that a run fails, seen after <see cref="Steps"/> steps.</summary>
    /// <param name="run">A live run with at least that many steps.</param>
    public double Probability(RunSeries run) =>
        LogisticRegression.Sigmoid(calibration.Score([regression.Score(FailureFeatures.Of(run, reference, Steps, Window))]));
}
