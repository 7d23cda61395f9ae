namespace Perennial.Resilience.Restart;

/// <summary>
/// The expected time to the first success over repeated attempts, in closed form, with and without a detector that stops attempts early (paper 19
/// §2, §3, §6). Attempts are independent and alike. Only means enter an expectation, so it holds for any distribution of times.
/// </summary>
/// <param name="Success">p: the probability that an attempt left alone succeeds; above 0, at most 1.</param>
/// <param name="SuccessTime">S: how long a successful attempt takes.</param>
/// <param name="FailureTime">F: how long a failed one takes.</param>
/// <param name="Overhead">c: the fixed cost of every attempt (queue, load, warm-up).</param>
public sealed record MakespanModel(double Success, Duration SuccessTime, Duration FailureTime, double Overhead)
{
    /// <summary>E_0 = S + c/p + ((1−p)/p)·F: every attempt runs to its end.</summary>
    public double WithoutDetector => SuccessTime.Mean + Overhead / Success + (1 - Success) / Success * FailureTime.Mean;

    /// <summary>
    /// E_mon = [c + p(1−q)S + (1−p)(1−r)F + p·q·t_s + (1−p)·r·t_f] / [p(1−q)]: predicted failures are aborted. Infinite when every success is
    /// aborted (q = 1).
    /// </summary>
    public double WithDetector(Detector detector) => ExpectedAttempt(detector) / Kept(detector);

    /// <summary>
    /// E_mon = [c + S·(P_TP+P_NCS) + F·(P_FP+P_NCF) + t_n·(P_FN+P_TN)] / (P_TP + P_NCS), from the joint probabilities with their "no
    /// classification" outcomes. <see cref="Success"/> is not read: the outcomes carry it.
    /// </summary>
    /// <param name="outcomes">Joint probabilities of one attempt.</param>
    /// <param name="decisionTime">t_n: mean time of the decision to abort.</param>
    /// <exception cref="ArgumentException">The outcomes are not probabilities that sum to 1.</exception>
    public double WithOutcomes(AttemptOutcomes outcomes, double decisionTime)
    {
        outcomes.Checked();
        return (Overhead + SuccessTime.Mean * outcomes.Kept + FailureTime.Mean * outcomes.RunsToFailure + decisionTime * outcomes.Aborted) / outcomes.Kept;
    }

    /// <summary>What the detector saves: (1−p)·F·(r − q), the left side of the rule.</summary>
    public double Gain(Detector detector) => (1 - Success) * FailureTime.Mean * (detector.Recall - detector.FalseAbort);

    /// <summary>What it costs: q·c + p·q·t_s + (1−p)·r·t_f, the right side of the rule.</summary>
    public double Cost(Detector detector) =>
        detector.FalseAbort * Overhead + Success * detector.FalseAbort * detector.AbortTimeOfSuccess.Mean + (1 - Success) * detector.Recall * detector.AbortTimeOfFailure.Mean;

    /// <summary>Whether aborting pays: gain above cost, which is E_mon &lt; E_0. S does not matter, since the last success is paid once either way.</summary>
    public bool Pays(Detector detector) => Gain(detector) > Cost(detector);

    /// <summary>
    /// The least recall at which aborting pays, all else equal: r* = q·[c + p·t_s + (1−p)F] / [(1−p)(F − t_f)]. Null when no recall is enough:
    /// failures end before they are noticed, nothing fails, or r* is 1 or more.
    /// </summary>
    public double? BreakEvenRecall(double falseAbort, double abortTimeOfSuccess, double abortTimeOfFailure)
    {
        var saved = (1 - Success) * (FailureTime.Mean - abortTimeOfFailure);
        if (saved <= 0) return null;
        var recall = falseAbort * (Overhead + Success * abortTimeOfSuccess + (1 - Success) * FailureTime.Mean) / saved;
        return recall < 1 ? recall : null;
    }

    /// <summary>Variance of the makespan without a detector.</summary>
    public double VarianceWithoutDetector => VarianceWithDetector(new Detector(0, 0, 0));

    /// <summary>
    /// Variance of the makespan: Var(X_succ) + ((1−π)/π)·Var(X_fail) + ((1−π)/π²)·E[X_fail]², with π the probability that an attempt is kept and X
    /// an attempt's cost given its end (§6).
    /// </summary>
    public double VarianceWithDetector(Detector detector)
    {
        var kept = Kept(detector);
        var lost = 1 - kept;
        if (lost <= 0) return SuccessTime.Variance;
        (double Weight, Duration Time)[] ends =
        [
            ((1 - Success) * (1 - detector.Recall), FailureTime),
            (Success * detector.FalseAbort, detector.AbortTimeOfSuccess),
            ((1 - Success) * detector.Recall, detector.AbortTimeOfFailure),
        ];
        var mean = ends.Sum(end => end.Weight / lost * (Overhead + end.Time.Mean));
        var square = ends.Sum(end => end.Weight / lost * (end.Time.Variance + (Overhead + end.Time.Mean) * (Overhead + end.Time.Mean)));
        return SuccessTime.Variance + lost / kept * (square - mean * mean) + lost / (kept * kept) * mean * mean;
    }

    /// <summary>Successes per unit of time when attempts are started one after another for ever: 1 / E_mon. The rule is the same for parallel slots.</summary>
    public double SuccessesPerTime(Detector detector) => Kept(detector) / ExpectedAttempt(detector);

    private double Kept(Detector detector) => Success * (1 - detector.FalseAbort);

    private double ExpectedAttempt(Detector detector) =>
        Overhead + Kept(detector) * SuccessTime.Mean + (1 - Success) * (1 - detector.Recall) * FailureTime.Mean
        + Success * detector.FalseAbort * detector.AbortTimeOfSuccess.Mean + (1 - Success) * detector.Recall * detector.AbortTimeOfFailure.Mean;
}
