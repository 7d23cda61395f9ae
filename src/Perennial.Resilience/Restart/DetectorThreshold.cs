namespace Perennial.Resilience.Restart;

/// <summary>The scores of one recorded attempt at the check times, and how it ended.</summary>
/// <param name="Scores">Predicted probability of failure at every check that the attempt lived to see; shorter when it ended before the rest.</param>
/// <param name="Succeeded">Its end.</param>
/// <param name="Seconds">Its duration.</param>
public sealed record ScoredAttempt(IReadOnlyList<double> Scores, bool Succeeded, double Seconds);

/// <summary>Thresholds for every check, and what they give on the attempts they were chosen on.</summary>
/// <param name="Thresholds">One a check; above 1 for a check that never aborts.</param>
/// <param name="Detector">Recall, false aborts and abort times.</param>
/// <param name="Makespan">E_mon in seconds.</param>
public sealed record DetectorThreshold(IReadOnlyList<double> Thresholds, Detector Detector, double Makespan)
{
    private const double Never = 2;

    /// <summary>
    /// Chooses thresholds that minimize E_mon by coordinate search over the recorded scores (paper 19 §4). Attempts that ended before a check are
    /// never aborted there.
    /// </summary>
    /// <param name="attempts">Recorded attempts, with at least one success. Measure the detector on others: these flatter it.</param>
    /// <param name="checkSeconds">Ascending check times.</param>
    /// <param name="overhead">c.</param>
    /// <exception cref="ArgumentException">No attempt succeeded.</exception>
    public static DetectorThreshold Choose(IReadOnlyList<ScoredAttempt> attempts, IReadOnlyList<double> checkSeconds, double overhead)
    {
        ArgumentNullException.ThrowIfNull(attempts);
        ArgumentNullException.ThrowIfNull(checkSeconds);
        var best = Evaluate(attempts, checkSeconds, overhead, [.. checkSeconds.Select(_ => Never)]);
        for (var improved = true; improved;)
        {
            improved = false;
            for (var check = 0; check < checkSeconds.Count; check++)
            {
                var candidates = attempts.Where(attempt => attempt.Scores.Count > check).Select(attempt => attempt.Scores[check]).Append(Never).Distinct();
                foreach (var candidate in candidates)
                {
                    double[] thresholds = [.. best.Thresholds];
                    thresholds[check] = candidate;
                    var tried = Evaluate(attempts, checkSeconds, overhead, thresholds);
                    if (tried.Makespan < best.Makespan * (1 - 1e-12)) (best, improved) = (tried, true);
                }
            }
        }
        return best;
    }

    /// <summary>What given thresholds give on recorded attempts.</summary>
    /// <exception cref="ArgumentException">No attempt succeeded.</exception>
    public static DetectorThreshold Evaluate(IReadOnlyList<ScoredAttempt> attempts, IReadOnlyList<double> checkSeconds, double overhead, IReadOnlyList<double> thresholds)
    {
        ArgumentNullException.ThrowIfNull(attempts);
        ArgumentNullException.ThrowIfNull(checkSeconds);
        ArgumentNullException.ThrowIfNull(thresholds);
        var (good, bad) = (attempts.Where(attempt => attempt.Succeeded).ToList(), attempts.Where(attempt => !attempt.Succeeded).ToList());
        if (good.Count == 0) throw new ArgumentException("thresholds need at least one attempt that succeeded");
        double? AbortedAt(ScoredAttempt attempt)
        {
            for (var check = 0; check < attempt.Scores.Count; check++)
            {
                if (attempt.Scores[check] >= thresholds[check]) return checkSeconds[check];
            }
            return null;
        }
        var goodAborts = good.Select(AbortedAt).OfType<double>().ToList();
        var badAborts = bad.Select(AbortedAt).OfType<double>().ToList();
        var model = new MakespanModel((double)good.Count / attempts.Count, good.Average(attempt => attempt.Seconds), bad.Count == 0 ? 0 : bad.Average(attempt => attempt.Seconds), overhead);
        // Failures that run on and those that are aborted may differ in length: E_mon uses the mean of those that run on.
        var missed = bad.Where(attempt => AbortedAt(attempt) is null).ToList();
        var kept = good.Where(attempt => AbortedAt(attempt) is null).ToList();
        var detector = new Detector(bad.Count == 0 ? 0 : (double)badAborts.Count / bad.Count, (double)goodAborts.Count / good.Count,
            goodAborts.DefaultIfEmpty(0).Average(), badAborts.DefaultIfEmpty(0).Average());
        var measured = model with
        {
            SuccessTime = kept.Count == 0 ? model.SuccessTime : kept.Average(attempt => attempt.Seconds),
            FailureTime = missed.Count == 0 ? model.FailureTime : missed.Average(attempt => attempt.Seconds),
        };
        return new([.. thresholds], detector, kept.Count == 0 ? double.PositiveInfinity : measured.WithDetector(detector));
    }
}
