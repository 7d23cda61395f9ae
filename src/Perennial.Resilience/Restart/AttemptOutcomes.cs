namespace Perennial.Resilience.Restart;

/// <summary>
/// Joint probabilities of one attempt: what the detector said and how the attempt ends (paper 19 §1). They sum to 1. Success is the positive
/// class, as in the paper: a "negative" is a predicted failure, which is aborted.
/// </summary>
/// <param name="TruePositive">Predicted success, succeeds.</param>
/// <param name="FalseNegative">Predicted failure, would have succeeded: a success thrown away.</param>
/// <param name="TrueNegative">Predicted failure, would have failed.</param>
/// <param name="FalsePositive">Predicted success, fails.</param>
/// <param name="UndecidedSuccess">No classification, succeeds.</param>
/// <param name="UndecidedFailure">No classification, fails.</param>
public readonly record struct AttemptOutcomes(double TruePositive, double FalseNegative, double TrueNegative, double FalsePositive, double UndecidedSuccess, double UndecidedFailure)
{
    /// <summary>π: the probability that an attempt is the last one. An attempt that nobody decided on runs to its end.</summary>
    public double Kept => TruePositive + UndecidedSuccess;

    /// <summary>Runs to its end and fails.</summary>
    public double RunsToFailure => FalsePositive + UndecidedFailure;

    /// <summary>Stopped by the detector.</summary>
    public double Aborted => FalseNegative + TrueNegative;

    /// <summary>p: succeeds if left alone.</summary>
    public double Success => TruePositive + FalseNegative + UndecidedSuccess;

    /// <summary>Checks that these are probabilities and sum to 1 within 1e-9.</summary>
    /// <exception cref="ArgumentException">They are not.</exception>
    public AttemptOutcomes Checked()
    {
        double[] all = [TruePositive, FalseNegative, TrueNegative, FalsePositive, UndecidedSuccess, UndecidedFailure];
        if (all.Any(value => !(value >= 0 && value <= 1)) || Math.Abs(all.Sum() - 1) > 1e-9)
            throw new ArgumentException($"{this}: these are not probabilities that sum to 1");
        return this;
    }

    /// <summary>The shares of counted attempts.</summary>
    /// <exception cref="ArgumentException">A count is below 0, or all are 0.</exception>
    public static AttemptOutcomes FromCounts(long truePositive, long falseNegative, long trueNegative, long falsePositive, long undecidedSuccess = 0, long undecidedFailure = 0)
    {
        double total = truePositive + falseNegative + trueNegative + falsePositive + undecidedSuccess + undecidedFailure;
        if (total == 0) throw new ArgumentException("no attempt was counted");
        return new AttemptOutcomes(truePositive / total, falseNegative / total, trueNegative / total, falsePositive / total, undecidedSuccess / total, undecidedFailure / total).Checked();
    }
}
