using Perennial.Core;

namespace Perennial.Resilience.Layouts;

/// <summary>One contiguous block of a dimension a rank: column-parallel (0) or row-parallel (1) weights.</summary>
/// <param name="Along">The dimension.</param>
/// <param name="Unit">Indices that stay together (a head, a group of heads).</param>
/// <param name="Shortage">What happens with fewer units than ranks.</param>
/// <param name="FineUnit">Where a unit may be cut under <see cref="Shortage.Divide"/>.</param>
public sealed record ShardDimension(int Along, long Unit = 1, Shortage Shortage = Shortage.Refuse, long FineUnit = 1) : ShardRule
{
    /// <inheritdoc/>
    protected override int Dimension => Along;

    /// <inheritdoc/>
    protected override (IReadOnlyList<ShardSegment> Segments, long Local) Segments(LogicalTensor tensor, int rank, int ranks)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var (start, length) = new ShardPart(tensor.Shape[Along], Unit, Shortage, FineUnit).Of(tensor.Name, rank, ranks);
        return ([new ShardSegment(start, 0, length)], length);
    }

    /// <inheritdoc/>
    public override string ToString() => Unit == 1 ? $"shard({Along})" : $"shard({Along}, unit {Unit})";
}

/// <summary>
/// A fused tensor: parts one after another along a dimension (queries, keys, values; gate, up), each cut by itself. A rank
/// holds its piece of the first part, then of the second, … or, <paramref name="ByGroup"/>, unit 0 of every part, then unit 1.
/// The logical tensor is in part order in both cases.
/// </summary>
/// <param name="Along">The dimension.</param>
/// <param name="Parts">The parts in logical order; their sizes add up to the dimension.</param>
/// <param name="ByGroup">Whether a rank's rows are ordered by unit rather than by part; all parts then have equally many units.</param>
public sealed record ShardParts(int Along, IReadOnlyList<ShardPart> Parts, bool ByGroup = false) : ShardRule
{
    /// <inheritdoc/>
    protected override int Dimension => Along;

    /// <inheritdoc/>
    protected override (IReadOnlyList<ShardSegment> Segments, long Local) Segments(LogicalTensor tensor, int rank, int ranks)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (Parts.Sum(part => part.Size) != tensor.Shape[Along])
            throw PerennialException.Usage($"tensor '{tensor.Name}': parts of {string.Join(" + ", Parts.Select(part => part.Size))} do not make up dimension {Along}, which has {tensor.Shape[Along]}");
        var pieces = new List<ShardSegment>();
        long before = 0;
        foreach (var part in Parts)
        {
            var (start, length) = part.Of(tensor.Name, rank, ranks);
            pieces.Add(new ShardSegment(before + start, 0, length));
            before += part.Size;
        }
        if (ByGroup) pieces = Regroup(tensor, pieces);
        var segments = new List<ShardSegment>();
        long local = 0;
        foreach (var piece in pieces)
        {
            segments.Add(piece with { Local = local });
            local += piece.Width;
        }
        return (segments, local);
    }

    private List<ShardSegment> Regroup(LogicalTensor tensor, List<ShardSegment> pieces)
    {
        var units = pieces[0].Width / Parts[0].Unit;
        for (var i = 0; i < pieces.Count; i++)
            if (units == 0 || pieces[i].Width != units * Parts[i].Unit) throw PerennialException.Usage($"tensor '{tensor.Name}': its parts have no common groups on every rank");
        var ordered = new List<ShardSegment>();
        for (long unit = 0; unit < units; unit++)
            for (var i = 0; i < pieces.Count; i++)
                ordered.Add(new ShardSegment(pieces[i].Logical + unit * Parts[i].Unit, 0, Parts[i].Unit));
        return ordered;
    }

    /// <inheritdoc/>
    public override string ToString() => $"parts({Along}: {string.Join(" | ", Parts.Select(part => $"{part.Size}/{part.Unit}"))}{(ByGroup ? ", by group" : "")})";
}

/// <summary>A vocabulary matrix: rows cut over the ranks after padding to a multiple; padding belongs to buffers, never to the tensor.</summary>
/// <param name="Multiple">Each rank's rows are a multiple of this.</param>
public sealed record ShardVocabulary(long Multiple = 1) : ShardRule
{
    /// <inheritdoc/>
    protected override (IReadOnlyList<ShardSegment> Segments, long Local) Segments(LogicalTensor tensor, int rank, int ranks)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        if (Multiple < 1) throw PerennialException.Usage($"tensor '{tensor.Name}': a vocabulary is padded to a multiple of at least 1");
        var rows = tensor.Shape[0];
        var share = (rows + Multiple * ranks - 1) / (Multiple * ranks) * Multiple;
        var start = Math.Min(rows, share * rank);
        return ([new ShardSegment(start, 0, Math.Min(rows - start, share))], share);
    }

    /// <inheritdoc/>
    public override string ToString() => $"vocabulary(multiple {Multiple})";
}
