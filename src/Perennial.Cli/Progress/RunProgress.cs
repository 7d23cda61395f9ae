using Perennial.Evaluation.Events;
using Perennial.Training;

namespace Perennial.Cli.Progress;

/// <summary>What is known about a run at one moment, as the console shows it. Immutable: the drawing thread reads a whole one.</summary>
public sealed record RunProgress
{
    /// <summary>How the run began; null before that.</summary>
    public RunStarted? Started { get; init; }

    /// <summary>When this process began to train.</summary>
    public DateTimeOffset Begun { get; init; }

    /// <summary>Finished steps.</summary>
    public long Step { get; init; }

    /// <summary>Smoothed training loss, nats a token; NaN before the first step.</summary>
    public double Loss { get; init; } = double.NaN;

    /// <summary>Newest held-out bits per byte, the best of the weights scored; NaN before the first.</summary>
    public double BitsPerByte { get; init; } = double.NaN;

    /// <summary>The step at which <see cref="BitsPerByte"/> was measured.</summary>
    public long BitsPerByteStep { get; init; }

    /// <summary>Smoothed training tokens a second; NaN before the first step.</summary>
    public double TokensPerSecond { get; init; } = double.NaN;

    /// <summary>Smoothed model FLOP utilization, 0 to 1; NaN when no ceiling was measured.</summary>
    public double Mfu { get; init; } = double.NaN;

    /// <summary>Steps by which the newest durable checkpoint is behind.</summary>
    public long SnapshotLag { get; init; }

    /// <summary>Steps that the policy refused in this process.</summary>
    public long Refused { get; init; }

    /// <summary>How the run ended; null while it goes on.</summary>
    public RunResult? Result { get; init; }

    /// <summary>Finished part of the run, 0 to 1.</summary>
    public double Share => Started is { TotalSteps: > 0 } started ? Math.Clamp((double)Step / started.TotalSteps, 0, 1) : 0;

    /// <summary>Time that this process has trained.</summary>
    public TimeSpan Elapsed(DateTimeOffset now) => Started is null ? TimeSpan.Zero : now - Begun;

    /// <summary>
    /// Seconds to the end at the pace of this process, evaluations and checkpoints included; NaN before the second step.
    /// </summary>
    public double SecondsLeft(DateTimeOffset now)
    {
        var done = Started is null ? 0 : Step - Started.StartStep;
        return done < 2 ? double.NaN : Elapsed(now).TotalSeconds / done * Math.Max(0, Started!.TotalSteps - Step);
    }

    /// <summary>The progress after one more event.</summary>
    public RunProgress After(RunEvent happened, DateTimeOffset now) => happened switch
    {
        RunStarted e => new RunProgress { Started = e, Begun = now, Step = e.StartStep },
        StepDone e => this with
        {
            Step = e.Step,
            Loss = Smooth(Loss, e.Loss),
            TokensPerSecond = Started is null ? double.NaN : Smooth(TokensPerSecond, Throughput.TokensPerSecond(Started, e)),
            Mfu = Started is null ? double.NaN : Smooth(Mfu, Throughput.Mfu(Started, e)),
            SnapshotLag = e.SnapshotLag,
        },
        StepRefused => this with { Refused = Refused + 1 },
        CheckpointWritten e => this with { SnapshotLag = Math.Max(0, Step - e.Step) },
        EvaluationDone e when e.Metrics.TryGetValue("bits_per_byte", out var bits) =>
            this with { BitsPerByte = e.Step == BitsPerByteStep && BitsPerByte < bits ? BitsPerByte : bits, BitsPerByteStep = e.Step },
        RunFinished e => this with { Result = e.Result, Step = e.Result.Step, BitsPerByte = e.Result.BitsPerByte ?? BitsPerByte },
        _ => this,
    };

    private static double Smooth(double known, double next) => !double.IsFinite(next) ? known : double.IsFinite(known) ? known + 0.1 * (next - known) : next;
}
