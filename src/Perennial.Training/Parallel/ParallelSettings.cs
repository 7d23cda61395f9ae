using Perennial.Resilience.Groups;
using Perennial.Resilience.Membership;

namespace Perennial.Training.Parallel;

/// <summary>What a process needs to train together with others.</summary>
public sealed record ParallelSettings
{
    /// <summary>The store that all processes of the run share; it stays the caller's.</summary>
    public required IMembershipStore Store { get; init; }

    /// <summary>The engine of collectives.</summary>
    public required ICommunicatorFactory Groups { get; init; }

    /// <summary>The run's name in the store: processes of one name belong together.</summary>
    public required string Run { get; init; }

    /// <summary>Where this process would like to stand among newcomers.</summary>
    public int Rank { get; init; }

    /// <summary>Processes that the first step waits for.</summary>
    public int WorldSize { get; init; } = 1;

    /// <summary>The machine this process runs on.</summary>
    public string Node { get; init; } = Environment.MachineName;

    /// <summary>Where peers reach this process.</summary>
    public string Address { get; init; } = "127.0.0.1";

    /// <summary>Breaks this process's connections on purpose; null where nobody does.</summary>
    public Interruption? Interruption { get; init; }

    /// <summary>How long a silent process counts as alive.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Memory in bytes of this process's machine, by which a shape for fewer processes is chosen; null for what there is.</summary>
    public long? StateBytes { get; init; }

    /// <summary>How long the first step waits for all processes.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(10);
}
