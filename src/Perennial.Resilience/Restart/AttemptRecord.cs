namespace Perennial.Resilience.Restart;

/// <summary>
/// What is known of one finished attempt. An attempt that was aborted has no outcome: whether it would have failed stays unknown.
/// </summary>
/// <param name="Seconds">From start to its end, or to the abort; without the overhead c.</param>
/// <param name="Succeeded">How it ended; null when it was aborted.</param>
/// <param name="AlarmSeconds">When the detector first called it a failure; null when it never did.</param>
/// <param name="OverheadSeconds">c of this attempt: queue, load, warm-up or snapshot restore.</param>
/// <param name="Shadow">The alarm was let pass on purpose, to learn how such attempts end. False where every alarm is let pass (mode monitor).</param>
public sealed record AttemptRecord(double Seconds, bool? Succeeded, double? AlarmSeconds = null, double OverheadSeconds = 0, bool Shadow = false)
{
    /// <summary>Whether the detector called it a failure.</summary>
    public bool Alarmed => AlarmSeconds is not null;
}
