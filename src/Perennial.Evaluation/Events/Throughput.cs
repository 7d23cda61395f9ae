using Perennial.Training;

namespace Perennial.Evaluation.Events;

/// <summary>Speed of a step, in the two figures people compare.</summary>
public static class Throughput
{
    /// <summary>Training tokens a second; NaN for a step without duration.</summary>
    public static double TokensPerSecond(RunStarted started, StepDone step)
    {
        ArgumentNullException.ThrowIfNull(started);
        ArgumentNullException.ThrowIfNull(step);
        return step.Seconds > 0 ? started.TokensPerStep / step.Seconds : double.NaN;
    }

    /// <summary>Model FLOP utilization, 0 to 1: FLOPs of the step's tokens over what the measured ceiling allows; NaN when no ceiling was measured.</summary>
    public static double Mfu(RunStarted started, StepDone step)
    {
        ArgumentNullException.ThrowIfNull(started);
        return started.CeilingFlops > 0 ? TokensPerSecond(started, step) * started.FlopsPerToken / started.CeilingFlops : double.NaN;
    }
}
