namespace Perennial.Resilience.Groups;

/// <summary>How Gloo computes an all-reduce.</summary>
public enum AllReduceAlgorithm
{
    /// <summary>Direct for small messages, ring for the rest.</summary>
    Auto = 0,

    /// <summary>Each rank sends and receives 2(N-1)/N of the data, in segments of at most 1 MiB.</summary>
    Ring = 1,

    /// <summary>Exchange in log N rounds.</summary>
    Bcube = 2,

    /// <summary>Everyone sends everything to everyone and adds in rank order: one round, N-1 times the traffic.</summary>
    Direct = 3,
}
