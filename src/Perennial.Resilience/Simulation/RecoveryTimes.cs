using System.ComponentModel.DataAnnotations;

namespace Perennial.Resilience.Simulation;

/// <summary>The phases of a recovery, in order.</summary>
public enum RecoveryPhase
{
    /// <summary>Until the fault is noticed.</summary>
    Detect,

    /// <summary>Agreeing on who lives and on the last committed step.</summary>
    Agree,

    /// <summary>Communicators: edited or rebuilt.</summary>
    Group,

    /// <summary>The new plan.</summary>
    Plan,

    /// <summary>State into its place. Transfers that depend on bytes come on top.</summary>
    Move,

    /// <summary>Getting back into step. The lost part of the work, done again, comes on top.</summary>
    Replay,
}

/// <summary>
/// Mean seconds of every phase, beside what the simulation works out itself (bytes moved, steps done again). Whole = base + per-doubling · log2(ranks).
/// </summary>
public sealed record RecoveryTimes
{
    /// <summary>Detect, seconds.</summary>
    [Range(0.0, double.MaxValue)]
    public double Detect { get; init; } = 1;

    /// <summary>Agree, seconds.</summary>
    [Range(0.0, double.MaxValue)]
    public double Agree { get; init; } = 0.1;

    /// <summary>Agree, seconds for every doubling of the ranks.</summary>
    [Range(0.0, double.MaxValue)]
    public double AgreePerDoubling { get; init; }

    /// <summary>Group, seconds.</summary>
    [Range(0.0, double.MaxValue)]
    public double Group { get; init; } = 0.3;

    /// <summary>Group, seconds for every doubling of the ranks.</summary>
    [Range(0.0, double.MaxValue)]
    public double GroupPerDoubling { get; init; }

    /// <summary>Plan, seconds.</summary>
    [Range(0.0, double.MaxValue)]
    public double Plan { get; init; } = 0.1;

    /// <summary>Move, seconds, without the transfers.</summary>
    [Range(0.0, double.MaxValue)]
    public double Move { get; init; } = 0.1;

    /// <summary>Replay, seconds, without the steps done again.</summary>
    [Range(0.0, double.MaxValue)]
    public double Replay { get; init; }

    /// <summary>Seconds more where the process that leads (rank 0) is lost: the next takes the run folder over.</summary>
    [Range(0.0, double.MaxValue)]
    public double Lead { get; init; }

    /// <summary>Seconds that the job stands still while a node joins that is ready; 0: the phases without detection.</summary>
    [Range(0.0, double.MaxValue)]
    public double Join { get; init; }

    /// <summary>
    /// Seconds from the start of a step in which ranks do not wait for each other: a fault in that time is noticed at its end, and Detect comes on top.
    /// 0 where heartbeats tell.
    /// </summary>
    [Range(0.0, double.MaxValue)]
    public double Quiet { get; init; }

    /// <summary>Spread of every phase: σ of its logarithm.</summary>
    [Range(0.0, 3.0)]
    public double Spread { get; init; } = 0.3;

    /// <summary>Mean seconds of a phase.</summary>
    public double Mean(RecoveryPhase phase, long ranks) => phase switch
    {
        RecoveryPhase.Detect => Detect,
        RecoveryPhase.Agree => Agree + AgreePerDoubling * Math.Log2(Math.Max(1, ranks)),
        RecoveryPhase.Group => Group + GroupPerDoubling * Math.Log2(Math.Max(1, ranks)),
        RecoveryPhase.Plan => Plan,
        RecoveryPhase.Move => Move,
        _ => Replay,
    };

    /// <summary>Mean seconds of the parts of a planned change, in which a node joins: one where that was measured as a whole, else every phase but detection.</summary>
    public IEnumerable<double> Planned(long ranks) =>
        Join > 0 ? [Join] : Enum.GetValues<RecoveryPhase>().Where(phase => phase != RecoveryPhase.Detect).Select(phase => Mean(phase, ranks));

    /// <summary>Mean seconds of all phases together, or of a planned change.</summary>
    public double Sum(long ranks, bool planned = false) => planned ? Planned(ranks).Sum() : Enum.GetValues<RecoveryPhase>().Sum(phase => Mean(phase, ranks));

    /// <summary>These times with measured means in the place of one phase; what grows with the ranks is then part of the measurement.</summary>
    public RecoveryTimes With(RecoveryPhase phase, double seconds) => phase switch
    {
        RecoveryPhase.Detect => this with { Detect = seconds },
        RecoveryPhase.Agree => this with { Agree = seconds, AgreePerDoubling = 0 },
        RecoveryPhase.Group => this with { Group = seconds, GroupPerDoubling = 0 },
        RecoveryPhase.Plan => this with { Plan = seconds },
        RecoveryPhase.Move => this with { Move = seconds },
        _ => this with { Replay = seconds },
    };
}
