using Perennial.Data;

namespace Perennial.Training.Loop;

/// <summary>Cuts a step's batch into pieces that are computed one after another.</summary>
public static class MicroBatches
{
    private const int TokensAtOnce = 2048;

    /// <summary>Rows at one time when the recipe does not say: about 2,048 tokens, whose activations fit the cache of common processors.</summary>
    public static int DefaultRows(int batch, int context) => Math.Clamp(TokensAtOnce / context, 1, batch);

    /// <summary>The pieces in order; the last may be smaller.</summary>
    public static IEnumerable<TokenBatch> Of(TokenBatch batch, int rows)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (batch.Rows <= rows)
        {
            yield return batch;
            yield break;
        }
        for (var first = 0; first < batch.Rows; first += rows) yield return BatchRows.Take(batch, first..Math.Min(first + rows, batch.Rows));
    }
}

/// <summary>Rows of a batch.</summary>
public static class BatchRows
{
    /// <summary>Several runs of rows of a batch, in the order given; none is allowed.</summary>
    public static TokenBatch Take(TokenBatch batch, IReadOnlyList<Range> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        if (rows.Count == 0) return Take(batch, 0..0);
        if (rows.Count == 1) return Take(batch, rows[0]);
        var parts = rows.Select(range => Take(batch, range)).ToList();
        return new TokenBatch(parts.Sum(part => part.Rows), parts[0].Time)
        {
            Inputs = [.. parts.SelectMany(part => part.Inputs)], Targets = [.. parts.SelectMany(part => part.Targets)],
            Segments = parts[0].Segments is null ? null : [.. parts.SelectMany(part => part.Segments!)], SampleIds = [.. parts.SelectMany(part => part.SampleIds)],
        };
    }

    /// <summary>The rows of one batch, then those of another.</summary>
    public static TokenBatch Join(TokenBatch first, TokenBatch second)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        if (first.Time != second.Time || first.Segments is null != second.Segments is null) throw new ArgumentException("the batches differ in more than rows", nameof(second));
        return new TokenBatch(first.Rows + second.Rows, first.Time)
        {
            Inputs = [.. first.Inputs, .. second.Inputs], Targets = [.. first.Targets, .. second.Targets],
            Segments = first.Segments is null ? null : [.. first.Segments, .. second.Segments!], SampleIds = [.. first.SampleIds, .. second.SampleIds],
        };
    }

    /// <summary>Some rows of a batch; none is allowed.</summary>
    public static TokenBatch Take(TokenBatch batch, Range rows)
    {
        ArgumentNullException.ThrowIfNull(batch);
        var (first, count) = rows.GetOffsetAndLength(batch.Rows);
        if (count == batch.Rows) return batch;
        var tokens = (first * batch.Time)..((first + count) * batch.Time);
        return new TokenBatch(count, batch.Time)
        {
            Inputs = batch.Inputs[tokens], Targets = batch.Targets[tokens], Segments = batch.Segments?[tokens], SampleIds = batch.SampleIds[first..(first + count)],
        };
    }
}
