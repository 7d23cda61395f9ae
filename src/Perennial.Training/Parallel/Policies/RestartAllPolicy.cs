using Perennial.Core;

namespace Perennial.Training.Parallel.Policies;

/// <summary>A loss ends all processes; all are started again from the newest checkpoint on disk, and steps since then are done again.</summary>
[Component("restart")]
public sealed class RestartAllPolicy : ILossPolicy
{
    /// <inheritdoc/>
    public bool Restarts => true;

    /// <inheritdoc/>
    public StepShares Share(ShareInput who) => ElasticPolicy.Contiguous(who);
}
