using Perennial.Resilience.Restart;

namespace Perennial.Experiments.Resilience;

/// <summary>A detector learned from finished attempts: when it looks, from which score on it stops an attempt, and what it is expected to bring.</summary>
/// <param name="Predictor">Scores an attempt.</param>
/// <param name="Check">Steps after which it looks.</param>
/// <param name="Threshold">Score from which it stops.</param>
/// <param name="Measured">Recall, false aborts and expected makespan on attempts that it was not learned from.</param>
/// <param name="Confidence">How surely stopping pays; the policy acts from 0.95 on.</param>
internal sealed record LearnedDetector(FailurePredictor Predictor, int Check, double Threshold, DetectorThreshold Measured, double Confidence)
{
    /// <summary>Whether the policy stops predicted failures (paper 19 §4: with 95 % confidence, else it only watches).</summary>
    public bool Acts => Confidence >= new RestartOptions().Confidence;

    /// <summary>When an attempt is stopped; null to let it run.</summary>
    public double? StopsAt(Attempt attempt) => Acts && attempt.Series.Loss.Count >= Check && Predictor.Probability(attempt.Series) >= Threshold ? Check : null;
}

/// <summary>The procedure of paper 19 §7: learn on the older 70 % of finished attempts, choose check and threshold there, measure on the newest 30 %, act only with confidence.</summary>
internal static class RestartStudy
{
    private const double Older = 0.7;

    public static LearnedDetector Learn(IReadOnlyList<Attempt> attempts, IReadOnlyList<int> checks, double overhead, ulong seed)
    {
        var older = attempts.Take((int)(attempts.Count * Older)).ToList();
        var newer = attempts.Skip(older.Count).ToList();
        LearnedDetector? best = null;
        var least = double.PositiveInfinity;
        foreach (var check in checks)
        {
            FailurePredictor predictor;
            try
            {
                predictor = FailurePredictor.Train([.. older.Select(attempt => new LabelledRun(attempt.Series, !attempt.Succeeded))], check, Math.Max(4, check / 2));
            }
            catch (ArgumentException)
            {
                continue; // Too few attempts of both kinds live so long.
            }
            var chosen = DetectorThreshold.Choose(Scored(older, predictor, check), [check], overhead);
            if (chosen.Makespan >= least) continue;
            least = chosen.Makespan;
            var measured = DetectorThreshold.Evaluate(Scored(newer, predictor, check), [check], overhead, chosen.Thresholds);
            var records = newer.Select(attempt => new AttemptRecord(attempt.Length, attempt.Succeeded,
                attempt.Series.Loss.Count >= check && predictor.Probability(attempt.Series) >= chosen.Thresholds[0] ? check : null, overhead)).ToList();
            best = new(predictor, check, chosen.Thresholds[0], measured, MakespanPosterior.Judge(records, new RestartOptions().Draws, seed)?.Confidence ?? 0);
        }
        return best ?? throw Core.PerennialException.Failed($"{attempts.Count} attempts hold too few of both kinds to learn from");
    }

    private static List<ScoredAttempt> Scored(IEnumerable<Attempt> attempts, FailurePredictor predictor, int check) =>
        [.. attempts.Select(attempt => new ScoredAttempt(attempt.Series.Loss.Count >= check ? [predictor.Probability(attempt.Series)] : [], attempt.Succeeded, attempt.Length))];
}
