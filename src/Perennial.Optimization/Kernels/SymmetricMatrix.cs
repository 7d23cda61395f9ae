using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>
/// A symmetric m × m matrix of which products compute little more than one half: strips of rows from the diagonal on, each one matrix product,
/// then the other half is a copy. Views into it are made once.
/// </summary>
internal sealed class SymmetricMatrix : IDisposable
{
    private readonly ScalarType type;
    private readonly int strip;

    /// <param name="type">Element type; only float32 is cut into strips.</param>
    /// <param name="side">m.</param>
    public SymmetricMatrix(ScalarType type, long side)
    {
        (this.type, strip) = (type, (int)StripOf(type, side));
        Values = HugePages.Empty(type, side, side);
        (Rows, Tails) = Views(Values, Values, strip);
        Upper = [.. Starts(side, strip).Select(at => Part(Part(Values, 0, at, Math.Min(strip, side - at)), 1, at, side - at))];
        using var scope = NewDisposeScope();
        Diagonal = Values.diagonal().DetachFromDisposeScope();
    }

    /// <summary>All of it, <c>[m, m]</c>.</summary>
    public Tensor Values { get; }

    /// <summary>Its diagonal, <c>[m]</c>.</summary>
    public Tensor Diagonal { get; }

    /// <summary>Strips of rows.</summary>
    public Tensor[] Rows { get; }

    /// <summary>All rows, columns from each strip's first on.</summary>
    public Tensor[] Tails { get; }

    private Tensor[] Upper { get; }

    /// <summary>Rows of a strip: an eighth of the matrix, so that 9/16 of it are computed; narrow products are slow.</summary>
    public static long StripOf(ScalarType type, long side) => type == ScalarType.Float32 && side >= 64 ? Math.Max(32, (side / 8 + 7) / 8 * 8) : side;

    /// <summary>Share of the m² elements that a product computes.</summary>
    public static double Share(ScalarType type, long side)
    {
        var strip = StripOf(type, side);
        return Starts(side, strip).Sum(at => (double)Math.Min(strip, side - at) * (side - at)) / ((double)side * side);
    }

    /// <summary>Strips of rows of one operand and the columns that the other contributes to each.</summary>
    /// <param name="left">The left operand, <c>[m, n]</c>.</param>
    /// <param name="right">The right operand, <c>[n, m]</c>.</param>
    /// <param name="strip">Rows of a strip.</param>
    public static (Tensor[] Rows, Tensor[] Tails) Views(Tensor left, Tensor right, long strip)
    {
        var side = left.shape[0];
        return ([.. Starts(side, strip).Select(at => Part(left, 0, at, Math.Min(strip, side - at)))], [.. Starts(side, strip).Select(at => Part(right, 1, at, side - at))]);
    }

    /// <summary>This ← keep·this + factor·A·B, where A·B is symmetric.</summary>
    /// <param name="rows">A's strips.</param>
    /// <param name="tails">B's columns from each strip on.</param>
    /// <param name="keep">Factor of the present content.</param>
    /// <param name="factor">Factor of the product.</param>
    public void Multiply(Tensor[] rows, Tensor[] tails, float keep = 0, float factor = 1)
    {
        for (var i = 0; i < rows.Length; i++) Upper[i].addmm_(rows[i], tails[i], keep, factor);
        if (rows.Length > 1) Mirror();
    }

    /// <summary>This ← A·B for symmetric A and B that commute.</summary>
    public void Multiply(SymmetricMatrix left, SymmetricMatrix right) => Multiply(left.Rows, right.Tails);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in (Tensor[])[Diagonal, .. Rows, .. Tails, .. Upper, Values]) tensor.Dispose();
    }

    private static IEnumerable<long> Starts(long side, long strip)
    {
        for (long at = 0; at < side; at += strip) yield return at;
    }

    private static Tensor Part(Tensor tensor, int dimension, long start, long length)
    {
        using var scope = NewDisposeScope();
        return tensor.narrow(dimension, start, length).DetachFromDisposeScope();
    }

    /// <summary>What lies right of the strips' diagonal blocks, below them.</summary>
    private unsafe void Mirror()
    {
        var values = (float*)TensorMemory.Address<float>(Values);
        var side = (int)Values.shape[0];
        ThreadTeam.ForRows(side, strip, (from, to) =>
        {
            // Eight rows at a time: a block of them is read along rows and written along rows.
            for (var row = (int)from; row < to; row += 8)
            {
                var height = Math.Min(8, (int)to - row);
                var column = (int)to;
                if (height == 8)
                    for (; column + 8 <= side; column += 8)
                    {
                        var corner = (int*)values + (long)row * side + column;
                        Blocks.Turn(corner, corner + 4L * side, side, (int*)values + (long)column * side + row, side);
                    }
                for (; column < side; column++)
                    for (var i = 0; i < height; i++) values[(long)column * side + row + i] = values[(long)(row + i) * side + column];
            }
        });
    }
}
