using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>
/// Memory for one layer's dense weight while it is used, shared by all layers, and for a block of rows in float32 where it is made. So a
/// decoder whose matrices have sparse parts never holds more than one layer's dense weight.
/// </summary>
/// <typeparam name="T">Storage of operands.</typeparam>
internal sealed class TransientWeights<T> : IDisposable
    where T : struct, IStorage
{
    private const long BlockElements = 1 << 18;

    /// <param name="map">The matrices.</param>
    public TransientWeights(WeightMap map)
    {
        var columns = map.Matrices.Max(matrix => matrix.Columns);
        Dense = HugePages.Empty(T.Size == 2 ? ScalarType.BFloat16 : ScalarType.Float32, Largest(map.Config));
        Block = HugePages.Empty(ScalarType.Float32, Math.Max(columns, Math.Min(BlockElements, Dense.NumberOfElements)));
    }

    /// <summary>One layer's weight as products read it: room for the largest.</summary>
    public Tensor Dense { get; }

    /// <summary>Room for some rows in float32.</summary>
    public Tensor Block { get; }

    /// <summary>Rows of a matrix that fit the block.</summary>
    public long RowsOf(long columns) => Math.Max(1, Block.NumberOfElements / columns);

    public void Dispose()
    {
        Dense.Dispose();
        Block.Dispose();
    }

    /// <summary>Numbers in the largest layer: q, k, v or gate, up together.</summary>
    private static long Largest(DecoderConfig config)
    {
        long width = config.Width, queries = (long)config.Heads * config.HeadWidth, keys = (long)config.KeyValueHeads * config.HeadWidth;
        var feedForward = (config.Family == ModelFamily.Gpt2 ? 1 : 2) * width * config.Intermediate;
        return Math.Max(Math.Max(width * (queries + 2 * keys), queries * width), feedForward);
    }
}
