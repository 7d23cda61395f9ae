using Perennial.Core;

namespace Perennial.Training.Parallel.Policies;

/// <summary>The rows of lost processes are lost while these are away, and the batch is that much smaller (as per-step fault-tolerant data parallel does: torchft).</summary>
[Component("drop-replica")]
public sealed class DropReplicaPolicy : ILossPolicy
{
    /// <inheritdoc/>
    public StepShares Share(ShareInput who)
    {
        ArgumentNullException.ThrowIfNull(who);
        return new([.. who.Places.Select(place => place < who.World && PlaceShares.Of(who, place) is var rows && rows.Start.Value < rows.End.Value ? (IReadOnlyList<Range>)[rows] : [])]);
    }
}
