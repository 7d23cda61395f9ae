namespace Perennial.Resilience.Snapshots;

/// <summary>How a snapshot manager runs.</summary>
public sealed record SnapshotHostOptions
{
    /// <summary>The run; memory and clients of another run are refused.</summary>
    public required Guid RunId { get; init; }

    /// <summary>Folder of a RAM file system for the memory; made if missing. Use one folder a run and node.</summary>
    public required string Folder { get; init; }

    /// <summary>Where trainers of this node connect, and peers too if they can reach it.</summary>
    public required SnapshotEndpoint Endpoint { get; init; }

    /// <summary>Where managers of other nodes connect; null when they share this machine.</summary>
    public SnapshotEndpoint? PeerEndpoint { get; init; }

    /// <summary>How long a silent trainer keeps its rank.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Without a connection for so long the manager frees its memory and ends: nobody will come back.</summary>
    public TimeSpan Idle { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Bytes of one share between managers; the same on all nodes.</summary>
    public int PieceBytes { get; init; } = 1 << 20;

    /// <summary>Leave the starter's session and ignore interrupts: right for a process of its own, wrong inside another program.</summary>
    public bool OwnSession { get; init; } = true;

    /// <summary>The clock of leases.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>A folder for a run and node under the RAM file system: <c>/dev/shm</c> where there is one, else the temporary folder.</summary>
    public static string DefaultFolder(Guid runId, string node)
    {
        const string Memory = "/dev/shm";
        return Path.Combine(Directory.Exists(Memory) ? Memory : Path.GetTempPath(), $"perennial-{runId:N}-{node}");
    }
}
