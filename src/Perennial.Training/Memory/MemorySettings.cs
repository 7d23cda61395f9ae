using Perennial.Resilience.Snapshots;

namespace Perennial.Training.Memory;

/// <summary>Where a run keeps its newest state outside its trainers.</summary>
public sealed record MemorySettings
{
    /// <summary>The run; memory of another run is never taken for this one's.</summary>
    public required Guid RunId { get; init; }

    /// <summary>The snapshot manager of every node.</summary>
    public required IReadOnlyDictionary<string, SnapshotEndpoint> Managers { get; init; }

    /// <summary>How the nodes protect each other's slices.</summary>
    public ParityChoice Parity { get; init; } = ParityChoice.None;
}
