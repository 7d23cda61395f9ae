namespace Perennial.Resilience.Snapshots;

/// <summary>A range of native memory that is part of a rank's state.</summary>
/// <param name="Address">First byte.</param>
/// <param name="Bytes">Length.</param>
public readonly record struct StateRange(nint Address, long Bytes);

/// <summary>Threads that copy together: calls the body for 0 … <paramref name="count"/> − 1, in any order, and returns when all are done; throws what a body threw.</summary>
/// <param name="count">Pieces.</param>
/// <param name="body">Copies one.</param>
public delegate void CopyTeam(int count, Action<int> body);

/// <summary>How a trainer's agent works.</summary>
public sealed record SnapshotAgentOptions
{
    /// <summary>Whose memory, of which shape.</summary>
    public required SlotIdentity Identity { get; init; }

    /// <summary>Membership epoch. A newer one shuts out a trainer that still holds the rank.</summary>
    public required ulong Epoch { get; init; }

    /// <summary>The node's manager.</summary>
    public required SnapshotEndpoint Manager { get; init; }

    /// <summary>The sharding group; null without parity.</summary>
    public GroupMembers? Group { get; init; }

    /// <summary>
    /// The step that this epoch goes on from, after a restore. Then it is committed where it was prepared, and later steps are forgotten, also by
    /// a manager that was away when <see cref="GroupCommit.Recover"/> ran.
    /// </summary>
    public long? Restored { get; init; }

    /// <summary>Bytes of a bucket to begin with; <see cref="SnapshotAgent.BucketBytes"/> may change it later.</summary>
    public long BucketBytes { get; init; } = 8 << 20;

    /// <summary>Slots of at most so many bytes are copied within <see cref="SnapshotAgent.Offer"/>: that takes less time than to wake a thread.</summary>
    public long InlineBytes { get; init; }

    /// <summary>
    /// Where set, <see cref="SnapshotAgent.Offer"/> copies on these threads, the ones that compute, and returns when that is done. For trainers
    /// that leave no processor idle: a copy beside their step takes a thread from it that all others then wait for, while between steps all of
    /// them copy for a moment.
    /// </summary>
    public CopyTeam? Team { get; init; }

    /// <summary>Most bytes copied a second beside a step; 0 for no limit.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>How much the copying thread yields to compute: the system's niceness, 0 to 19. Linux only.</summary>
    public int Niceness { get; init; } = 10;

    /// <summary>Time between signs of life; far below the manager's lease.</summary>
    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>For the connection and every reply of the manager.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long to wait at the start for an earlier trainer of the same epoch to be given up: longer than the manager's lease.</summary>
    public TimeSpan AttachPatience { get; init; } = TimeSpan.FromSeconds(7);

    /// <summary>The clock of heartbeats; the manager's must be the same.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Told when something is wrong that training survives: the manager died, a bucket was damaged. Called on any thread.</summary>
    public Action<string>? OnAlarm { get; init; }

    /// <summary>Counts the kernel's kills for want of memory; a rise explains a manager's death.</summary>
    internal Func<long> MemoryKills { get; init; } = OutOfMemoryKills.Count;

    /// <summary>Told on the copying thread after each bucket has landed (step, bucket): for progress, and for faults in tests.</summary>
    public Action<long, long>? OnBucket { get; init; }
}

/// <summary>What became of an offered snapshot.</summary>
/// <param name="Started">Whether it is being copied.</param>
/// <param name="Reason">Why not; empty when it is.</param>
public sealed record SnapshotOffer(bool Started, string Reason);
