using Perennial.Resilience.Layouts;

namespace Perennial.Resilience.Partition;

/// <summary>A shape and which layers each of its stages has.</summary>
/// <param name="Shape">The shape.</param>
/// <param name="Cut">Its stages.</param>
public sealed record ShapeCut(ParallelShape Shape, StagePartition Cut);

/// <summary>
/// Which process takes which place of a shape: the one that has most of what belongs there, so that little moves. A pure function: all
/// processes come to the same.
/// </summary>
public static class PlaceAssignment
{
    /// <summary>The place of every process; −1 for one that stands by.</summary>
    /// <param name="to">The shape to be filled.</param>
    /// <param name="before">What the processes have; null where nobody has anything.</param>
    /// <param name="held">Of every process its place under <paramref name="before"/>; −1 for one that has nothing.</param>
    /// <param name="orders">Of every process where it would like to stand.</param>
    /// <param name="stages">Of every process the stage that it is to stand in, −1 for one that is to stand by; null where that is free.</param>
    /// <exception cref="ArgumentException">Fewer processes than places.</exception>
    public static IReadOnlyList<int> Of(ShapeCut to, ShapeCut? before, IReadOnlyList<int> held, IReadOnlyList<int> orders, IReadOnlyList<int>? stages = null)
    {
        ArgumentNullException.ThrowIfNull(to);
        ArgumentNullException.ThrowIfNull(held);
        ArgumentNullException.ThrowIfNull(orders);
        if (held.Count < to.Shape.Ranks || held.Count != orders.Count) throw new ArgumentException($"{held.Count} processes cannot take the {to.Shape.Ranks} places of {to.Shape}");
        var places = Enumerable.Repeat(-1, held.Count).ToArray();
        var open = Enumerable.Range(0, to.Shape.Ranks).ToHashSet();
        bool Suits(int process, int place) => stages is null || stages[process] == to.Shape.CoordinatesOf(place).Pipeline;
        void Take(int process, int place)
        {
            if (places[process] < 0 && open.Remove(place)) places[process] = place;
        }
        // Where all are there, everyone has the place that it was started for: memory on nodes and files of ranks stay where they are.
        if (stages is null && orders.Count == to.Shape.Ranks && orders.Order().SequenceEqual(Enumerable.Range(0, orders.Count))) return [.. orders];
        var pairs = before is null ? [] :
            from process in Enumerable.Range(0, held.Count)
            where held[process] >= 0
            from place in open
            where Suits(process, place)
            let common = Common(before, held[process], to, place)
            where common > 0
            orderby common descending, held[process] == place ? 0 : 1, held[process], place
            select (process, place);
        foreach (var (process, place) in pairs.ToList()) Take(process, place);
        // Survivors stand before newcomers.
        foreach (var process in Enumerable.Range(0, held.Count).OrderBy(process => held[process] < 0).ThenBy(process => orders[process]).ThenBy(process => process))
            if (places[process] < 0 && open.Where(place => Suits(process, place)).ToList() is { Count: > 0 } left) Take(process, left.Min());
        return places;
    }

    /// <summary>Layers that a place of one shape and one of another both have.</summary>
    private static int Common(ShapeCut before, int held, ShapeCut to, int place)
    {
        var (mine, theirs) = (before.Shape.CoordinatesOf(held), to.Shape.CoordinatesOf(place));
        if (mine.Tensor != theirs.Tensor) return 0;
        return Math.Max(0, Math.Min(before.Cut.Ends[mine.Pipeline], to.Cut.Ends[theirs.Pipeline]) - Math.Max(before.Cut.First(mine.Pipeline), to.Cut.First(theirs.Pipeline)));
    }
}
