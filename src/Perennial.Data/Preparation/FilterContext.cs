namespace Perennial.Data.Preparation;

/// <summary>What a filter's constructor may ask for beside its options.</summary>
/// <param name="Seed">The run's seed, for draws keyed by document.</param>
public sealed record FilterContext(ulong Seed);
