using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>
/// Units of the fixed-point numbers in <see cref="NewtonSchulz"/>. With X of norm at most 1 the iteration bounds every matrix in it:
/// a singular value stays below 1.2023 (where s·P(s²) has its maximum on 0 … 1.2023), so XXᵀ and R below 1.446, P = aI + bR + cR² below 3.4445, P·R below
/// 1.446, and Q after i iterations below 3.4445ⁱ. A row, a column and an element are at most the norm, so neither a number nor a sum of
/// products overflows: 32,767² is a quarter of what 32 bits hold, and a factor of 1.01 is left for roundings.
/// </summary>
internal static class FixedUnits
{
    private const float Most = short.MaxValue / 1.01f;

    /// <summary>Units in a 1 of X.</summary>
    public const float Values = Most / 1.2023f;

    /// <summary>Of XXᵀ, R and P·R.</summary>
    public const float Gram = Most / 1.446f;

    /// <summary>Of P.</summary>
    public const float Polynomial = Most / NewtonSchulz.A;

    /// <summary>Of Q after some iterations.</summary>
    public static float Product(int iterations) => Most / MathF.Pow(NewtonSchulz.A, iterations);

    /// <summary>Of the first X, whose norm is at most 1: small elements get small units.</summary>
    /// <param name="largest">Largest magnitude of its elements.</param>
    /// <param name="longest">Elements of its longest row or column, whose norm no sum may exceed.</param>
    public static float Input(float largest, long longest)
    {
        // 46,300² is just below 2³¹.
        var norm = Math.Min(1, largest * MathF.Sqrt(longest));
        return norm > 0 ? Math.Min(Most / largest, 46_300 / 1.01f / norm) : 1;
    }
}

/// <summary>A padded matrix of 16-bit integers and room for its panels.</summary>
internal sealed unsafe class FixedMatrix : IDisposable
{
    private readonly Tensor values, panels;

    /// <summary>All zeros.</summary>
    public FixedMatrix(long rows, long columns)
    {
        (Rows, Columns) = (FixedProduct.Padded(rows), FixedProduct.Padded(columns));
        values = HugePages.Zeros(ScalarType.Int16, (long)Rows * Columns);
        using var scope = NewDisposeScope();
        Values = values.view(Rows, Columns).DetachFromDisposeScope();
        panels = HugePages.Empty(ScalarType.Int16, (long)Rows * Columns);
        Start = (short*)TensorMemory.Pointer(values);
        Panels = (short*)TensorMemory.Pointer(panels);
    }

    /// <summary>Rows, padded.</summary>
    public int Rows { get; }

    /// <summary>Columns, padded.</summary>
    public int Columns { get; }

    /// <summary><c>[rows, columns]</c>.</summary>
    public Tensor Values { get; }

    /// <summary>Where they lie.</summary>
    public short* Start { get; }

    /// <summary>Where the panels lie.</summary>
    public short* Panels { get; }

    /// <summary>This, as a left operand.</summary>
    public FixedOperand Left => FixedOperand.Of(Start, Columns);

    /// <summary>What the panels hold, transposed, as a left operand.</summary>
    public FixedOperand LeftOfPanels => FixedOperand.OfPanels(Panels, Rows);

    /// <summary>Fills the panels with this matrix.</summary>
    public void Interleave() => FixedProduct.Interleave(Start, Rows, Columns, Panels);

    /// <summary>Fills the panels with its transpose.</summary>
    public void InterleaveTurned() => FixedProduct.InterleaveTurned(Start, Rows, Columns, Panels);

    /// <summary>This symmetric matrix ← left · right, in other units.</summary>
    /// <param name="left">The left operand.</param>
    /// <param name="panels">The right one.</param>
    /// <param name="k">Summed.</param>
    /// <param name="factor">Units of this in a unit of the product.</param>
    public void BecomeSymmetric(FixedOperand left, short* panels, int k, float factor)
    {
        FixedProduct.Multiply(left, panels, Rows, k, Rows, isSymmetric: true, new Scaled(Start, Columns, factor));
        FixedProduct.Mirror(Start, Rows);
    }

    /// <summary>This ← left · right, whose panels are filled, in other units.</summary>
    public void BecomeProduct(FixedMatrix left, FixedMatrix right, float factor) => Become(left.Left, right.Panels, left.Columns, factor);

    /// <summary>This ← left · right, in other units.</summary>
    public void Become(FixedOperand left, short* panels, int k, float factor) =>
        FixedProduct.Multiply(left, panels, Rows, k, Columns, isSymmetric: false, new Scaled(Start, Columns, factor));

    /// <summary>This ← aI + bR + cR², with R's panels filled.</summary>
    public void BecomePolynomial(FixedMatrix gram)
    {
        const float units = FixedUnits.Polynomial / FixedUnits.Gram;
        FixedProduct.Multiply(gram.Left, gram.Panels, Rows, Rows, Rows, isSymmetric: true, new Polynomial(gram.Start, Start, Columns, NewtonSchulz.B * units, NewtonSchulz.C * units / FixedUnits.Gram));
        FixedProduct.Mirror(Start, Rows);
        var diagonal = (int)MathF.Round(NewtonSchulz.A * FixedUnits.Polynomial);
        for (var i = 0; i < Rows; i++)
        {
            var place = Start + (long)i * Columns + i;
            *place = (short)Math.Clamp(*place + diagonal, -short.MaxValue, short.MaxValue);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Values.Dispose();
        values.Dispose();
        panels.Dispose();
    }

    private readonly struct Scaled(short* to, int stride, float factor) : IProductResult
    {
        private readonly Vector256<float> factor = Vector256.Create(factor);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Take(int row, int column, Vector256<int> first, Vector256<int> second) =>
            FixedVectors.Pack(Rounded(first), Rounded(second)).Store(to + (nint)row * stride + column);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector256<int> Rounded(Vector256<int> sums) => FixedVectors.Round(Vector256.ConvertToSingle(sums) * factor);
    }

    private readonly struct Polynomial(short* gram, short* to, int stride, float linear, float square) : IProductResult
    {
        private readonly Vector256<float> linear = Vector256.Create(linear), square = Vector256.Create(square);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Take(int row, int column, Vector256<int> first, Vector256<int> second)
        {
            var place = (nint)row * stride + column;
            var (low, high) = FixedVectors.Unpack(Vector256.Load(gram + place));
            FixedVectors.Pack(Rounded(low, first), Rounded(high, second)).Store(to + place);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector256<int> Rounded(Vector256<int> r, Vector256<int> sums) =>
            FixedVectors.Round(Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(sums), square, Vector256.ConvertToSingle(r) * linear));
    }
}

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
        gram.Interleave();
        polynomial.BecomePolynomial(gram);
        if (block == 1) return polynomial;
        for (var i = 2; i <= block; i++)
        {
            turned!.BecomeSymmetric(polynomial.Left, gram.Panels, Side, 1 / FixedUnits.Polynomial);
            turned.Interleave();
            gram.BecomeSymmetric(polynomial.Left, turned.Panels, Side, 1 / FixedUnits.Polynomial);
            gram.Interleave();
            if (i == 2) (product, polynomial) = (polynomial, product!);
            polynomial.BecomePolynomial(gram);
            product!.Interleave();
            next!.BecomeSymmetric(polynomial.Left, product.Panels, Side, FixedUnits.Product(i) / (FixedUnits.Polynomial * FixedUnits.Product(i - 1)));
            (product, next) = (next, product);
        }
        return product!;
    }

    /// <summary>X ← Q·X, or X·Q where X is tall.</summary>
    private void Multiply(FixedMatrix factor, int block)
    {
        var right = IsWide ? matrix : factor;
        right.Interleave();
        result.Become(IsWide ? factor.Left : matrix.Left, right.Panels, Side, FixedUnits.Values / (FixedUnits.Product(block) * units));
    }
}
