namespace Perennial.Resilience.Coding;

/// <summary>
/// A systematic code over chunks of equal length: k data chunks get m parity chunks, and any m of the k + m may be lost (paper 02 §4).
/// Chunks are given by address; they need no alignment and must not overlap. Chunk i below k is data i; chunk k + i is parity i.
/// </summary>
public interface IErasureCode
{
    /// <summary>k.</summary>
    int DataChunks { get; }

    /// <summary>m.</summary>
    int ParityChunks { get; }

    /// <summary>The factor with which a data chunk enters a parity chunk.</summary>
    byte Coefficient(int parity, int data);

    /// <summary>Computes all parity chunks.</summary>
    /// <param name="data">k addresses.</param>
    /// <param name="parity">m addresses, overwritten.</param>
    /// <param name="bytes">Length of a chunk.</param>
    /// <param name="threads">Threads over ranges of the chunk; the result does not depend on them.</param>
    /// <exception cref="ArgumentException">The counts are not k and m.</exception>
    void Encode(ReadOnlySpan<nint> data, ReadOnlySpan<nint> parity, long bytes, int threads = 1);

    /// <summary>
    /// Adds one data chunk's share to one parity chunk. Parity that starts at zero and has had every data chunk added once, in any order, is
    /// what <see cref="Encode"/> computes: so parity can be gathered like a reduce-scatter. Adding twice takes the share out again.
    /// </summary>
    void MultiplyAdd(int parity, int data, nint source, nint destination, long bytes, int threads = 1);

    /// <summary>Rebuilds lost chunks, data or parity, from the rest.</summary>
    /// <param name="chunks">k + m addresses. 0 marks one that is neither there nor wanted.</param>
    /// <param name="lost">Which chunks to rebuild, at their addresses.</param>
    /// <param name="bytes">Length of a chunk.</param>
    /// <param name="threads">Threads over ranges of the chunk.</param>
    /// <exception cref="ArgumentException">Fewer than k chunks are left, or a count is wrong.</exception>
    void Decode(ReadOnlySpan<nint> chunks, ReadOnlySpan<int> lost, long bytes, int threads = 1);
}

/// <summary>Chooses the code.</summary>
public static class ErasureCode
{
    /// <summary>XOR where one loss is tolerated, Reed-Solomon where more are.</summary>
    /// <exception cref="ArgumentOutOfRangeException">k or m is below 1, or k + m above 255.</exception>
    public static IErasureCode Create(int data, int parity, ICodeKernel? kernel = null) =>
        parity == 1 ? new XorParity(data, kernel) : new ReedSolomonParity(data, parity, kernel);
}

/// <summary>One parity chunk, the exclusive or of the data (RAID-5-like). With one data chunk it is a mirror.</summary>
/// <param name="data">k, 1 to 254.</param>
/// <param name="kernel">How to compute; the fastest when null.</param>
public sealed class XorParity(int data, ICodeKernel? kernel = null) : LinearCode(GaloisMatrix.Cauchy(data, 1), kernel);

/// <summary>Reed-Solomon code with the normalised Cauchy matrix of <see cref="GaloisMatrix.Cauchy"/>.</summary>
/// <param name="data">k, at least 1.</param>
/// <param name="parity">m, at least 1; k + m at most 255.</param>
/// <param name="kernel">How to compute; the fastest when null.</param>
public sealed class ReedSolomonParity(int data, int parity, ICodeKernel? kernel = null) : LinearCode(GaloisMatrix.Cauchy(data, parity), kernel);
