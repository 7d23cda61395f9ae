using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Core.Recipes;

namespace Perennial.Resilience.Simulation;

/// <summary>One measured recovery: seconds of every phase.</summary>
public sealed record MeasuredEvent
{
    /// <summary>Seconds from the run's start to the fault.</summary>
    [Range(0.0, double.MaxValue)]
    public required double At { get; init; }

    /// <summary>Ranks that were lost (path · stages + stage).</summary>
    [MinLength(1)]
    public required IReadOnlyList<int> Ranks { get; init; }

    /// <summary>The last step that was done; null where that was not recorded.</summary>
    [Range(0, long.MaxValue)]
    public long? Step { get; init; }

    /// <summary>Whether only processes died.</summary>
    public bool Software { get; init; } = true;

    /// <summary>Whether the process that led was among them: the next takes the run folder over, which takes longer.</summary>
    public bool Leader { get; init; }

    /// <summary>Until the fault was noticed.</summary>
    [Range(0.0, double.MaxValue)]
    public double Detect { get; init; }

    /// <summary>Agreement on members and step.</summary>
    [Range(0.0, double.MaxValue)]
    public double Agree { get; init; }

    /// <summary>Communicators.</summary>
    [Range(0.0, double.MaxValue)]
    public double Group { get; init; }

    /// <summary>Planning.</summary>
    [Range(0.0, double.MaxValue)]
    public double Plan { get; init; }

    /// <summary>State into place, transfers included.</summary>
    [Range(0.0, double.MaxValue)]
    public double Move { get; init; }

    /// <summary>Back into step, without the work done again.</summary>
    [Range(0.0, double.MaxValue)]
    public double Replay { get; init; }

    /// <summary>Work done again.</summary>
    [Range(0.0, double.MaxValue)]
    public double Again { get; init; }

    /// <summary>How much of <see cref="Again"/> is the step that was under way; null where that was not recorded: then what is left of it after whole steps.</summary>
    [Range(0.0, double.MaxValue)]
    public double? Partial { get; init; }

    /// <summary>Seconds of a phase.</summary>
    public double this[RecoveryPhase phase] => phase switch
    {
        RecoveryPhase.Detect => Detect,
        RecoveryPhase.Agree => Agree,
        RecoveryPhase.Group => Group,
        RecoveryPhase.Plan => Plan,
        RecoveryPhase.Move => Move,
        _ => Replay,
    };

    /// <summary>Fault to the point where the job was: all phases and the work done again.</summary>
    public double Total => Enum.GetValues<RecoveryPhase>().Sum(phase => this[phase]) + Again;
}

/// <summary>How fast a run was with fewer ranks.</summary>
public sealed record MeasuredPace
{
    /// <summary>Ranks that worked.</summary>
    [Range(1, 10_000_000)]
    public required int Ranks { get; init; }

    /// <summary>Mean seconds that a whole batch took; of a step that left samples out, its share of one is counted.</summary>
    [Range(0.0, double.MaxValue, MinimumIsExclusive = true)]
    public required double StepSeconds { get; init; }
}

/// <summary>One measured run.</summary>
public sealed record MeasuredRun
{
    /// <summary>Name.</summary>
    public required string Name { get; init; }

    /// <summary>The policy that was in force, by its kind.</summary>
    public required string Policy { get; init; }

    /// <summary>D.</summary>
    [Range(1, 1_000_000)]
    public required int Paths { get; init; }

    /// <summary>P.</summary>
    [Range(1, 10_000)]
    public int Stages { get; init; } = 1;

    /// <summary>Wall-clock seconds of the run.</summary>
    [Range(0.0, double.MaxValue, MinimumIsExclusive = true)]
    public required double Seconds { get; init; }

    /// <summary>Steps that it committed.</summary>
    [Range(1, int.MaxValue)]
    public required int Steps { get; init; }

    /// <summary>What they are worth in steps of the whole batch, where some lost samples (<c>drop-replica</c>); 0: each was whole.</summary>
    [Range(0.0, double.MaxValue)]
    public double WholeSteps { get; init; }

    /// <summary>Mean seconds from one step to the next outside of recoveries: stalls for snapshots and checkpoints are in them.</summary>
    [Range(0.0, double.MaxValue, MinimumIsExclusive = true)]
    public required double StepSeconds { get; init; }

    /// <summary>Steps with fewer ranks, where there were some.</summary>
    public IReadOnlyList<MeasuredPace> Degraded { get; init; } = [];

    /// <summary>Steps between checkpoints on disk; 0 where that is not known: then as often as the simulation would.</summary>
    [Range(0, int.MaxValue)]
    public int CheckpointSteps { get; init; }

    /// <summary>Mean seconds into the next step until a checkpoint was on disk: a restart from a fault within them goes back to the one before.</summary>
    [Range(0.0, double.MaxValue)]
    public double CheckpointSeconds { get; init; }

    /// <summary>Mean seconds from a fault until what was started in the place of the lost could join; 0 where none did.</summary>
    [Range(0.0, double.MaxValue)]
    public double RespawnSeconds { get; init; }

    /// <summary>Mean seconds that the step in which it joined took longer than the next ones; 0 where none did.</summary>
    [Range(0.0, double.MaxValue)]
    public double JoinSeconds { get; init; }

    /// <summary>Spare nodes.</summary>
    [Range(0, 1_000_000)]
    public int Spares { get; init; }

    /// <summary>Recoveries, in order of time.</summary>
    public required IReadOnlyList<MeasuredEvent> Events { get; init; }

    /// <summary>Its ranks.</summary>
    public int Ranks => Paths * Stages;

    /// <summary>Whether the ranks noticed losses themselves: a restart is whoever's who started the job.</summary>
    public bool IsNoticed => Events.Any(fault => fault.Detect > 0);

    /// <summary>Seconds of the step that a fault interrupted.</summary>
    public double IntoStep(MeasuredEvent fault)
    {
        ArgumentNullException.ThrowIfNull(fault);
        return fault.Partial ?? fault.Again % StepSeconds;
    }
}

/// <summary>A JSON (or YAML) file of measured runs: <c>{ "runs": [ … ] }</c>, the keys as in recipes.</summary>
public sealed record MeasuredRecoveries
{
    /// <summary>Runs.</summary>
    [MinLength(1)]
    public required IReadOnlyList<MeasuredRun> Runs { get; init; }

    /// <summary>Reads the file.</summary>
    /// <exception cref="PerennialException">Exit 2, with file, line, column and key.</exception>
    public static MeasuredRecoveries Load(string path, ComponentRegistry components)
    {
        var measured = new RecipeBinder(components).Bind<MeasuredRecoveries>(RecipeDocument.Load(path));
        foreach (var run in measured.Runs)
        {
            if (components.Find(typeof(IRecoveryPolicy), run.Policy) is null)
                throw PerennialException.Usage($"{path}: run '{run.Name}' has policy '{run.Policy}'{Nearest.Hint(run.Policy, [.. components.Kinds(typeof(IRecoveryPolicy))])}");
            if (run.Events.SelectMany(fault => fault.Ranks).FirstOrDefault(rank => rank < 0 || rank >= run.Paths * run.Stages) is var wrong and not 0)
                throw PerennialException.Usage($"{path}: run '{run.Name}' lost rank {wrong}, but has ranks 0 to {run.Paths * run.Stages - 1}");
        }
        return measured;
    }
}
