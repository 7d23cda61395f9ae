using Perennial.Core;
using Perennial.Resilience.Partition;

namespace Perennial.Resilience.Simulation;

/// <summary>Where the training state comes from after a fault.</summary>
public enum StateSource
{
    /// <summary>The last checkpoint on disk.</summary>
    Checkpoint,

    /// <summary>Another path that holds all of it; only the step under way is lost. Needs the state replicated over the paths.</summary>
    Replica,

    /// <summary>Snapshots in memory, under parity; the state may be partitioned.</summary>
    Snapshot,
}

/// <summary>
/// A way of going on after a fault. The simulation asks it what the job can do with who is left, and what getting there costs.
/// </summary>
[ComponentRole("recovery")]
public interface IRecoveryPolicy
{
    /// <summary>Where state comes from.</summary>
    StateSource Source { get; }

    /// <summary>Phase times.</summary>
    RecoveryTimes Times { get; }

    /// <summary>
    /// Whether a node that is ready joins the running job. If not, it joins at the next fault, or at the next checkpoint once it would help.
    /// </summary>
    bool JoinsRunning { get; }

    /// <summary>Whether spares are waited for as part of the recovery, instead of going on without.</summary>
    bool WaitsForSpares { get; }

    /// <summary>Whether the healthy ranks of a damaged path work. If not, a further loss among them interrupts nothing.</summary>
    bool UsesDamagedPaths { get; }

    /// <summary>The step with who is left; null when the job must wait for nodes.</summary>
    DegradedStep? Step(PipelineShape shape, Occupancy who);
}
