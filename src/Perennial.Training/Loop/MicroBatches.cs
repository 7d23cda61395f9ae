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
        for (var first = 0; first < batch.Rows; first += rows)
        {
            var count = Math.Min(rows, batch.Rows - first);
            var (from, to) = (first * batch.Time, (first + count) * batch.Time);
            yield return new TokenBatch(count, batch.Time)
            {
                Inputs = batch.Inputs[from..to],
                Targets = batch.Targets[from..to],
                Segments = batch.Segments?[from..to],
                SampleIds = batch.SampleIds[first..(first + count)],
            };
        }
    }
}
