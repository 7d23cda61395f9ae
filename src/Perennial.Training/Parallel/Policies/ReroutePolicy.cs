using Perennial.Core;

namespace Perennial.Training.Parallel.Policies;

/// <summary>
/// The micro-batches of lost processes go whole to the others, one after another to whoever has fewest rows: no row is lost, some wait (as ReCycle does;
/// Gandhi et al. 2024).
/// </summary>
[Component("reroute")]
public sealed class ReroutePolicy : ILossPolicy
{
    /// <inheritdoc/>
    public StepShares Share(ShareInput who)
    {
        ArgumentNullException.ThrowIfNull(who);
        var shares = who.Places.Select(place => place < who.World ? new List<Range> { PlaceShares.Of(who, place) } : []).ToList();
        foreach (var shard in shares) shard.RemoveAll(range => range.Start.Value == range.End.Value);
        foreach (var piece in Enumerable.Range(0, who.World).Except(who.Places).SelectMany(place => PlaceShares.MicroBatches(who, place)))
            shares.MinBy(rows => rows.Sum(range => range.End.Value - range.Start.Value))!.Add(piece);
        return new([.. shares.Select(rows => (IReadOnlyList<Range>)[.. rows.OrderBy(range => range.Start.Value)])]);
    }
}
