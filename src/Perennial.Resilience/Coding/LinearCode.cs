namespace Perennial.Resilience.Coding;

/// <summary>What all systematic linear codes share: encoding is a product with the parity matrix, decoding with an inverse.</summary>
public abstract class LinearCode : IErasureCode
{
    // A tile of every source stays in the second-level cache while all parity rows pass over it.
    private const int TileBytes = 16 << 10;

    // Results larger than this leave the caches anyway.
    private const long StreamingBytes = 4 << 20;

    private readonly GaloisMatrix matrix;
    private readonly ICodeKernel kernel;

    private protected LinearCode(GaloisMatrix matrix, ICodeKernel? kernel) => (this.matrix, this.kernel) = (matrix, kernel ?? CodeKernels.Best);

    /// <inheritdoc/>
    public int DataChunks => matrix.Columns;

    /// <inheritdoc/>
    public int ParityChunks => matrix.Rows;

    /// <inheritdoc/>
    public byte Coefficient(int parity, int data) => matrix[parity, data];

    /// <inheritdoc/>
    public void Encode(ReadOnlySpan<nint> data, ReadOnlySpan<nint> parity, long bytes, int threads = 1)
    {
        if (data.Length != DataChunks || parity.Length != ParityChunks)
            throw new ArgumentException($"{data.Length} data and {parity.Length} parity chunks were given to a code of {DataChunks} and {ParityChunks}", nameof(data));
        Product(matrix, data, parity, bytes, threads);
    }

    /// <inheritdoc/>
    public void MultiplyAdd(int parity, int data, nint source, nint destination, long bytes, int threads = 1)
    {
        var coefficient = matrix[parity, data];
        ChunkRanges.Run(bytes, threads, (start, end) =>
            kernel.Combine(destination + (nint)start, [source + (nint)start], [coefficient], end - start, accumulate: true, streaming: false));
    }

    /// <inheritdoc/>
    public void Decode(ReadOnlySpan<nint> chunks, ReadOnlySpan<int> lost, long bytes, int threads = 1)
    {
        if (chunks.Length != DataChunks + ParityChunks)
            throw new ArgumentException($"{chunks.Length} chunks were given to a code of {DataChunks} and {ParityChunks}", nameof(chunks));
        var (sources, rows) = Recovery(chunks, lost);
        var from = new nint[sources.Length];
        var to = new nint[lost.Length];
        for (var i = 0; i < from.Length; i++) from[i] = chunks[sources[i]];
        for (var i = 0; i < to.Length; i++) to[i] = chunks[lost[i]];
        Product(rows, from, to, bytes, threads);
    }

    /// <summary>Which k chunks to read, and the factors that make the lost ones of them: generator rows of the lost, times the inverse of those of the read.</summary>
    private (int[] Sources, GaloisMatrix Rows) Recovery(ReadOnlySpan<nint> chunks, ReadOnlySpan<int> lost)
    {
        var there = new List<int>();
        for (var chunk = 0; chunk < chunks.Length && there.Count < DataChunks; chunk++)
            if (chunks[chunk] != 0 && !lost.Contains(chunk)) there.Add(chunk);
        if (there.Count < DataChunks) throw new ArgumentException($"{there.Count} chunks are left, {DataChunks} are needed", nameof(chunks));
        byte Generator(int chunk, int column) => chunk < DataChunks ? (byte)(chunk == column ? 1 : 0) : matrix[chunk - DataChunks, column];
        // Any k rows of the generator are independent: that is what the Cauchy matrix is for.
        var inverse = GaloisMatrix.Of(DataChunks, DataChunks, (row, column) => Generator(there[row], column)).Inverse()
            ?? throw new InvalidOperationException("the code's matrix has a singular minor");
        var wanted = lost.ToArray();
        return ([.. there], GaloisMatrix.Of(wanted.Length, DataChunks, (row, column) => Generator(wanted[row], column)).Times(inverse));
    }

    private void Product(GaloisMatrix factors, ReadOnlySpan<nint> sources, ReadOnlySpan<nint> destinations, long bytes, int threads)
    {
        if (destinations.Length == 0) return;
        var (from, to) = (sources.ToArray(), destinations.ToArray());
        var rows = Enumerable.Range(0, to.Length).Select(row => Enumerable.Range(0, from.Length).Select(column => factors[row, column]).ToArray()).ToArray();
        var streaming = bytes * to.Length >= StreamingBytes;
        ChunkRanges.Run(bytes, threads, (start, end) =>
        {
            // One row needs no tiles: nothing is read twice.
            var tile = rows.Length == 1 ? end - start : TileBytes;
            Span<nint> at = from.Length <= 64 ? stackalloc nint[from.Length] : new nint[from.Length];
            for (var first = start; first < end; first += tile)
            {
                for (var s = 0; s < from.Length; s++) at[s] = from[s] + (nint)first;
                for (var row = 0; row < rows.Length; row++)
                    kernel.Combine(to[row] + (nint)first, at, rows[row], Math.Min(tile, end - first), accumulate: false, streaming);
            }
        });
    }
}

/// <summary>Cuts a chunk into ranges for threads.</summary>
internal static class ChunkRanges
{
    private const long Grain = 256 << 10;

    /// <summary>Calls the body for disjoint ranges that cover 0 … <paramref name="bytes"/>; borders are multiples of 64.</summary>
    public static void Run(long bytes, int threads, Action<long, long> body)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        var pieces = Math.Min(threads, (bytes + Grain - 1) / Grain);
        if (pieces <= 1)
        {
            if (bytes > 0) body(0, bytes);
            return;
        }
        var piece = ((bytes + pieces - 1) / pieces + 63) / 64 * 64;
        Parallel.For(0L, (bytes + piece - 1) / piece, new ParallelOptions { MaxDegreeOfParallelism = threads },
            index => body(index * piece, Math.Min(bytes, (index + 1) * piece)));
    }
}
