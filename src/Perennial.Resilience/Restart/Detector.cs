namespace Perennial.Resilience.Restart;

/// <summary>
/// A detector of failing attempts at its working point (paper 19 §3). Failure is what it detects; silence counts as "go on".
/// </summary>
/// <param name="Recall">r = P(abort | would fail).</param>
/// <param name="FalseAbort">q = P(abort | would succeed).</param>
/// <param name="AbortTimeOfSuccess">t_s: when it aborts an attempt that would have succeeded, from the attempt's start.</param>
/// <param name="AbortTimeOfFailure">t_f: when it aborts an attempt that would have failed.</param>
public readonly record struct Detector(double Recall, double FalseAbort, Duration AbortTimeOfSuccess, Duration AbortTimeOfFailure)
{
    /// <summary>A detector that aborts at the same mean time in both cases.</summary>
    public Detector(double recall, double falseAbort, Duration abortTime)
        : this(recall, falseAbort, abortTime, abortTime) { }

    /// <summary>The joint probabilities at a success probability p. What it does not abort is "undecided".</summary>
    public AttemptOutcomes Outcomes(double success) =>
        new(0, success * FalseAbort, (1 - success) * Recall, 0, success * (1 - FalseAbort), (1 - success) * (1 - Recall));
}
