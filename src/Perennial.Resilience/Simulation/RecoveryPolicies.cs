using Perennial.Core;
using Perennial.Resilience.Partition;

namespace Perennial.Resilience.Simulation;

/// <summary>Phase times and settings of <see cref="RestartRecovery"/>.</summary>
public sealed record RestartRecoveryOptions
{
    /// <summary>Phase times: a collective's time-out, a new job start and rendezvous, a warm-up.</summary>
    public RecoveryTimes Times { get; init; } = new() { Detect = 60, Agree = 0, Group = 60, GroupPerDoubling = 5, Plan = 0, Move = 30, Replay = 30 };
}

/// <summary>Stops the job and starts it anew from the last checkpoint, on spares and survivors packed into whole paths.</summary>
/// <param name="options">Times.</param>
[Component("restart")]
public sealed class RestartRecovery(RestartRecoveryOptions options) : IRecoveryPolicy
{
    /// <inheritdoc/>
    public StateSource Source => StateSource.Checkpoint;

    /// <inheritdoc/>
    public RecoveryTimes Times => options.Times;

    /// <inheritdoc/>
    public bool JoinsRunning => false;

    /// <inheritdoc/>
    public bool WaitsForSpares => true;

    /// <inheritdoc/>
    public bool UsesDamagedPaths => true;

    /// <inheritdoc/>
    public DegradedStep? Step(PipelineShape shape, Occupancy who) => DegradedSteps.Repack(shape, who);
}

/// <summary>Phase times and settings of <see cref="DropReplicaRecovery"/>.</summary>
public sealed record DropReplicaRecoveryOptions
{
    /// <summary>Phase times.</summary>
    public RecoveryTimes Times { get; init; } = new() { Detect = 5, Agree = 0.5, Group = 2, GroupPerDoubling = 0.2, Plan = 0, Move = 0 };
}

/// <summary>Goes on without the data-parallel paths that lost a rank, until they are whole again (as TorchFT does). State is replicated over paths.</summary>
/// <param name="options">Times.</param>
[Component("drop-replica")]
public sealed class DropReplicaRecovery(DropReplicaRecoveryOptions options) : IRecoveryPolicy
{
    /// <inheritdoc/>
    public StateSource Source => StateSource.Replica;

    /// <inheritdoc/>
    public RecoveryTimes Times => options.Times;

    /// <inheritdoc/>
    public bool JoinsRunning => true;

    /// <inheritdoc/>
    public bool WaitsForSpares => false;

    /// <inheritdoc/>
    public bool UsesDamagedPaths => false;

    /// <inheritdoc/>
    public DegradedStep? Step(PipelineShape shape, Occupancy who) => DegradedSteps.DropReplica(shape, who);
}

/// <summary>Phase times and settings of <see cref="RerouteRecovery"/>.</summary>
public sealed record RerouteRecoveryOptions
{
    /// <summary>Phase times.</summary>
    public RecoveryTimes Times { get; init; } = new() { Detect = 5, Agree = 0.5, Group = 2, GroupPerDoubling = 0.2, Plan = 0.5, Move = 0 };
}

/// <summary>Gives the micro-batches of lost ranks to peers of their stage (as ReCycle does). State is replicated over paths.</summary>
/// <param name="options">Times.</param>
[Component("reroute")]
public sealed class RerouteRecovery(RerouteRecoveryOptions options) : IRecoveryPolicy
{
    /// <inheritdoc/>
    public StateSource Source => StateSource.Replica;

    /// <inheritdoc/>
    public RecoveryTimes Times => options.Times;

    /// <inheritdoc/>
    public bool JoinsRunning => true;

    /// <inheritdoc/>
    public bool WaitsForSpares => false;

    /// <inheritdoc/>
    public bool UsesDamagedPaths => true;

    /// <inheritdoc/>
    public DegradedStep? Step(PipelineShape shape, Occupancy who) => DegradedSteps.Reroute(shape, who);
}

/// <summary>How the elastic policy shares out the work.</summary>
public enum ElasticWays
{
    /// <summary>The fastest of resizing, moving layers, rerouting and dropping.</summary>
    Best,

    /// <summary>Waves resized and layers moved, whatever else would be faster.</summary>
    Resize,
}

/// <summary>Phase times and settings of <see cref="ElasticRecovery"/>.</summary>
public sealed record ElasticRecoveryOptions
{
    /// <summary>Phase times.</summary>
    public RecoveryTimes Times { get; init; } = new() { Detect = 3, Agree = 0.2, AgreePerDoubling = 0.02, Group = 0.3, GroupPerDoubling = 0.05, Plan = 0.2, Move = 0.2 };

    /// <summary>How work is shared out.</summary>
    public ElasticWays Ways { get; init; } = ElasticWays.Best;
}

/// <summary>Shares the waves of lost ranks out over their stage, moves layers to level the stages, and restores from snapshots in memory (paper 23).</summary>
/// <param name="options">Times and ways.</param>
[Component("elastic")]
public sealed class ElasticRecovery(ElasticRecoveryOptions options) : IRecoveryPolicy
{
    /// <inheritdoc/>
    public StateSource Source => StateSource.Snapshot;

    /// <inheritdoc/>
    public RecoveryTimes Times => options.Times;

    /// <inheritdoc/>
    public bool JoinsRunning => true;

    /// <inheritdoc/>
    public bool WaitsForSpares => false;

    /// <inheritdoc/>
    public bool UsesDamagedPaths => true;

    /// <inheritdoc/>
    public DegradedStep? Step(PipelineShape shape, Occupancy who) =>
        options.Ways == ElasticWays.Best ? DegradedSteps.Elastic(shape, who) : DegradedSteps.ResizeAndMove(shape, who);
}
