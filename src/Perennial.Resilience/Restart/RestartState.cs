namespace Perennial.Resilience.Restart;

/// <summary>What the policy does with a predicted failure.</summary>
public enum RestartMode
{
    /// <summary>Logs it and lets the attempt run on.</summary>
    Monitor,

    /// <summary>Aborts it, but for shadow attempts.</summary>
    Preempt,
}

/// <summary>Everything the policy remembers; immutable, so that it can be saved beside the run.</summary>
/// <param name="Mode">Present mode.</param>
/// <param name="Draw">The draw of the attempt that runs now.</param>
/// <param name="Restarts">Restarts so far.</param>
/// <param name="Attempts">Finished attempts.</param>
/// <param name="Used">Draws used so far, the present one last.</param>
public sealed record RestartState(RestartMode Mode, AttemptDraw Draw, int Restarts, IReadOnlyList<AttemptRecord> Attempts, IReadOnlyList<AttemptDraw> Used)
{
    /// <summary>The state before the first attempt.</summary>
    public static RestartState Begin(AttemptDraw draw) => new(RestartMode.Monitor, draw, 0, [], [draw]);
}

/// <summary>What to do with a live attempt.</summary>
public enum RestartAction
{
    /// <summary>Go on.</summary>
    Continue,

    /// <summary>Stop it and start the next.</summary>
    Abort,

    /// <summary>A failure is predicted, but this attempt runs on to keep the detector measured: record it with <see cref="AttemptRecord.Shadow"/>.</summary>
    Shadow,
}

/// <summary>A decision and why.</summary>
/// <param name="Action">What to do.</param>
/// <param name="Reason">One line for the log.</param>
/// <param name="Alarm">A person should look: restarts are used up.</param>
public sealed record RestartDecision(RestartAction Action, string Reason, bool Alarm = false);
