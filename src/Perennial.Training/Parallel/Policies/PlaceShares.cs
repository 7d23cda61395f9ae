namespace Perennial.Training.Parallel.Policies;

/// <summary>The rows that belong to the places that a run was started with, whoever is there: what policies without resizing build on.</summary>
internal static class PlaceShares
{
    /// <summary>Rows of a place: contiguous, in whole units, as even as units allow.</summary>
    public static Range Of(ShareInput who, int place)
    {
        var units = (who.Rows + who.Unit - 1) / who.Unit;
        return Math.Min(who.Rows, units * place / who.World * who.Unit)..Math.Min(who.Rows, units * (place + 1) / who.World * who.Unit);
    }

    /// <summary>The micro-batches of a place's rows.</summary>
    public static IEnumerable<Range> MicroBatches(ShareInput who, int place)
    {
        var (rows, size) = (Of(who, place), (Math.Max(who.MicroBatch, who.Unit) + who.Unit - 1) / who.Unit * who.Unit);
        for (var first = rows.Start.Value; first < rows.End.Value; first += size) yield return first..Math.Min(rows.End.Value, first + size);
    }
}
