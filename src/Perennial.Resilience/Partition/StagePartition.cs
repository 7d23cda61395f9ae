namespace Perennial.Resilience.Partition;

/// <summary>Which layers each stage holds: stage p has layers [Ends[p−1], Ends[p]).</summary>
/// <param name="Ends">One end a stage, never falling; the last is the number of layers.</param>
public sealed record StagePartition(IReadOnlyList<int> Ends)
{
    /// <summary>Stages.</summary>
    public int Stages => Ends.Count;

    /// <summary>Layers.</summary>
    public int Layers => Ends[^1];

    /// <summary>First layer of a stage.</summary>
    public int First(int stage) => stage == 0 ? 0 : Ends[stage - 1];

    /// <summary>Layers of every stage.</summary>
    public IReadOnlyList<int> Counts => [.. Ends.Select((end, stage) => end - First(stage))];

    /// <summary>The stage that holds a layer.</summary>
    public int StageOf(int layer) => Enumerable.Range(0, Stages).First(stage => layer < Ends[stage]);

    /// <summary>The partition with given layer counts.</summary>
    public static StagePartition OfCounts(params IReadOnlyList<int> counts)
    {
        ArgumentNullException.ThrowIfNull(counts);
        var (ends, end) = (new int[counts.Count], 0);
        for (var stage = 0; stage < counts.Count; stage++) ends[stage] = end += counts[stage];
        return new(ends);
    }

    /// <summary>Equal up to one layer; the first stages take the odd ones.</summary>
    public static StagePartition Even(int layers, int stages) =>
        OfCounts([.. Enumerable.Range(0, stages).Select(stage => layers / stages + (stage < layers % stages ? 1 : 0))]);

    /// <inheritdoc/>
    public bool Equals(StagePartition? other) => other is not null && (ReferenceEquals(Ends, other.Ends) || Ends.SequenceEqual(other.Ends));

    /// <inheritdoc/>
    public override int GetHashCode() => Ends.Aggregate(17, HashCode.Combine);

    /// <summary>Layer counts, as <c>6/8/9/9</c>.</summary>
    public override string ToString() => string.Join('/', Counts);
}
