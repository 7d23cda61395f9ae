using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>
/// <see cref="NewtonSchulz"/> in 16-bit fixed point. Square matrices by the published form. Long ones in blocks of up to three iterations, each by the Gram matrix
/// of its X: a squared singular value that is lost in the roundings of R grows by at most 3.4445² = 11.9 an iteration, and so do those roundings, so that R is
/// made anew from X before they count.
/// </summary>
internal sealed unsafe class FixedForm : INewtonSchulzForm
{
    private const int LongestBlock = 3;

    private readonly long longest;
    private readonly IReadOnlyList<int> blocks;
    private readonly FixedMatrix gram;
    private FixedMatrix matrix, result, polynomial;
    private FixedMatrix? turned, product, next;
    private float units = 1;

    /// <summary>Scratch for one shape.</summary>
    public FixedForm(long rows, long columns, int iterations)
    {
        longest = Math.Max(rows, columns);
        blocks = Blocks(rows, columns, iterations);
        (matrix, result) = (new(rows, columns), new(rows, columns));
        var side = Math.Min(rows, columns);
        (gram, polynomial) = (new(side, side), new(side, side));
        if (blocks.Max() > 1) (turned, product, next) = (new(side, side), new(side, side), new(side, side));
    }

    /// <inheritdoc/>
    public Tensor Input => matrix.Values;

    /// <inheritdoc/>
    public float ResultScale => 1 / FixedUnits.Values;

    private int Side => gram.Rows;

    private bool IsWide => matrix.Rows <= matrix.Columns;

    /// <summary>Operations of the products.</summary>
    public static ProductWork Work(long rows, long columns, int iterations)
    {
        double side = FixedProduct.Padded(Math.Min(rows, columns)), length = FixedProduct.Padded(Math.Max(rows, columns)), share = (side + FixedProduct.Panel) / (2 * side);
        // XXᵀ, R², Q·X; with every further iteration of a block P·R, P·U, R² and P·Q.
        return new(Floats: 0, Blocks(rows, columns, iterations).Sum(block => 2 * side * side * (share * length + share * side * (4 * block - 3) + length)));
    }

    /// <inheritdoc/>
    public float Prepare(float largest) => units = FixedUnits.Input(largest, longest);

    /// <inheritdoc/>
    public Tensor Iterate()
    {
        foreach (var block in blocks)
        {
            FillGram();
            Multiply(FillProduct(block), block);
            (matrix, result) = (result, matrix);
            units = FixedUnits.Values;
        }
        return matrix.Values;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var part in (FixedMatrix?[])[matrix, result, gram, polynomial, turned, product, next]) part?.Dispose();
    }

    /// <summary>Iterations of each block.</summary>
    private static IReadOnlyList<int> Blocks(long rows, long columns, int iterations)
    {
        if (FixedProduct.Padded(rows) == FixedProduct.Padded(columns)) return [.. Enumerable.Repeat(1, iterations)];
        // At first singular values are smallest.
        var first = Math.Min(2, iterations);
        var (whole, rest) = Math.DivRem(iterations - first, LongestBlock);
        return [first, .. rest > 0 ? [rest] : (int[])[], .. Enumerable.Repeat(LongestBlock, whole)];
    }

    /// <summary>R ← XXᵀ, or XᵀX where X is tall.</summary>
    private void FillGram()
    {
        if (IsWide) matrix.InterleaveTurned();
        else matrix.Interleave();
        gram.BecomeSymmetric(IsWide ? matrix.Left : matrix.LeftOfPanels, matrix.Panels, Math.Max(matrix.Rows, matrix.Columns), FixedUnits.Gram / (units * units));
    }

    /// <summary>The product of a block's polynomials, by R.</summary>
    private FixedMatrix FillProduct(int block)
    {
        polynomial.BecomePolynomial(gram);
        if (block == 1) return polynomial;
        for (var i = 2; i <= block; i++)
        {
            turned!.BecomeSymmetric(polynomial.LeftOfPanels, gram.Panels, Side, 1 / FixedUnits.Polynomial);
            gram.BecomeSymmetric(polynomial.LeftOfPanels, turned.Panels, Side, 1 / FixedUnits.Polynomial);
            if (i == 2) (product, polynomial) = (polynomial, product!);
            polynomial.BecomePolynomial(gram);
            next!.BecomeSymmetric(polynomial.LeftOfPanels, product!.Panels, Side, FixedUnits.Product(i) / (FixedUnits.Polynomial * FixedUnits.Product(i - 1)));
            (product, next) = (next, product);
        }
        return product!;
    }

    /// <summary>X ← Q·X, or X·Q where X is tall.</summary>
    private void Multiply(FixedMatrix factor, int block)
    {
        if (IsWide) matrix.Interleave();
        result.Become(IsWide ? factor.LeftOfPanels : matrix.Left, IsWide ? matrix.Panels : factor.Panels, Side, FixedUnits.Values / (FixedUnits.Product(block) * units));
    }
}
