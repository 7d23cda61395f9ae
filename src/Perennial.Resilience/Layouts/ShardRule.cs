using Perennial.Core;

namespace Perennial.Resilience.Layouts;

/// <summary>What happens where a part has fewer units than there are ranks.</summary>
public enum Shortage
{
    /// <summary>The layout is refused.</summary>
    Refuse,

    /// <summary>Neighbouring ranks hold the same unit (key and value heads).</summary>
    Share,

    /// <summary>Neighbouring ranks cut a unit at the fine unit (the query heads of one group).</summary>
    Divide,
}

/// <summary>A stretch of a dimension that is cut over tensor ranks by itself: the queries of a fused matrix, its keys, …</summary>
/// <param name="Size">Indices along the dimension.</param>
/// <param name="Unit">Indices that stay together; the part is a whole number of units.</param>
/// <param name="Shortage">What happens with fewer units than ranks.</param>
/// <param name="FineUnit">Where a unit may be cut under <see cref="Shortage.Divide"/>.</param>
public sealed record ShardPart(long Size, long Unit = 1, Shortage Shortage = Shortage.Refuse, long FineUnit = 1)
{
    /// <summary>The indices of rank <paramref name="rank"/> of <paramref name="ranks"/>; the first ranks get one unit more where the division leaves a rest.</summary>
    /// <exception cref="PerennialException">Exit 2: the part cannot be cut so.</exception>
    internal (long Start, long Length) Of(string tensor, int rank, int ranks)
    {
        if (Unit < 1 || Size % Unit != 0) throw PerennialException.Usage($"tensor '{tensor}': a part of {Size} is no whole number of units of {Unit}");
        var units = Size / Unit;
        if (units >= ranks || Size == 0)
        {
            var start = rank * (units / ranks) + Math.Min(rank, units % ranks);
            return (start * Unit, (units / ranks + (rank < units % ranks ? 1 : 0)) * Unit);
        }
        var sharers = ranks / units;
        var possible = ranks % units == 0 && (Shortage == Shortage.Share || (Shortage == Shortage.Divide && Unit % (sharers * FineUnit) == 0));
        if (!possible) throw PerennialException.Usage($"tensor '{tensor}': {units} units of {Unit} cannot be cut over {ranks} tensor ranks");
        var piece = Shortage == Shortage.Share ? Unit : Unit / sharers;
        return (rank / sharers * Unit + (Shortage == Shortage.Share ? 0 : rank % sharers * piece), piece);
    }
}

/// <summary>A stretch of indices along the cut dimension, and where a rank has it.</summary>
/// <param name="Logical">First index in the tensor.</param>
/// <param name="Local">First index in the rank's part.</param>
/// <param name="Width">Indices.</param>
public readonly record struct ShardSegment(long Logical, long Local, long Width);

/// <summary>How tensor-parallel ranks cut a tensor (paper 47, parts 3 and 5b). Every rule is a list of segments along one dimension.</summary>
public abstract record ShardRule
{
    /// <summary>The dimension that is cut; for <see cref="Replicate"/> it does not matter.</summary>
    protected virtual int Dimension => 0;

    /// <summary>The segments of one rank, and the length of its part of the dimension (padding included).</summary>
    protected abstract (IReadOnlyList<ShardSegment> Segments, long Local) Segments(LogicalTensor tensor, int rank, int ranks);

    /// <summary>The rank's part as runs of tensor <paramref name="index"/> in a buffer that holds nothing else, and that buffer's bytes.</summary>
    /// <exception cref="PerennialException">Exit 2: the rule does not fit the tensor or cannot be cut over so many ranks.</exception>
    public (IReadOnlyList<LayoutRun> Runs, long Bytes) Place(LogicalTensor tensor, int index, int rank, int ranks)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (this is Replicate) return tensor.Bytes == 0 ? ([], 0) : ([new LayoutRun(index, 0, 0, tensor.Bytes)], tensor.Bytes);
        var dimension = Dimension;
        if (dimension < 0 || dimension >= tensor.Shape.Count) throw PerennialException.Usage($"tensor '{tensor.Name}' has no dimension {dimension}, along which {this} cuts it");
        var (segments, local) = Segments(tensor, rank, ranks);
        long outer = 1, inner = tensor.ElementBytes;
        for (var i = 0; i < dimension; i++) outer *= tensor.Shape[i];
        for (var i = dimension + 1; i < tensor.Shape.Count; i++) inner *= tensor.Shape[i];
        var runs = segments.Where(segment => segment.Width * inner * outer > 0).Select(segment => new LayoutRun(
            index, segment.Logical * inner, segment.Local * inner, segment.Width * inner, outer, tensor.Shape[dimension] * inner, local * inner).Normal());
        return ([.. runs], outer * local * inner);
    }
}

/// <summary>Every tensor rank holds the whole tensor.</summary>
public sealed record Replicate : ShardRule
{
    /// <inheritdoc/>
    protected override (IReadOnlyList<ShardSegment> Segments, long Local) Segments(LogicalTensor tensor, int rank, int ranks) => ([], 0);

    /// <inheritdoc/>
    public override string ToString() => "replicate";
}
