using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

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

    /// <summary>The panels of this symmetric matrix ← left · right, in other units; itself only from the diagonal on.</summary>
    /// <param name="left">The left operand.</param>
    /// <param name="panels">The right one.</param>
    /// <param name="k">Summed.</param>
    /// <param name="factor">Units of this in a unit of the product.</param>
    public void BecomeSymmetric(FixedOperand left, short* panels, int k, float factor)
    {
        FixedProduct.Multiply(left, panels, Rows, k, Rows, isSymmetric: true, new Scaled(Start, Columns, factor));
        FixedProduct.InterleaveSymmetric(Start, Rows, Panels);
    }

    /// <summary>This ← left · right, whose panels are filled, in other units.</summary>
    public void BecomeProduct(FixedMatrix left, FixedMatrix right, float factor) => Become(left.Left, right.Panels, left.Columns, factor);

    /// <summary>This ← left · right, in other units.</summary>
    /// <param name="left">The left operand.</param>
    /// <param name="panels">The right one.</param>
    /// <param name="k">Summed.</param>
    /// <param name="factor">Units of this in a unit of the product.</param>
    public void Become(FixedOperand left, short* panels, int k, float factor) =>
        FixedProduct.Multiply(left, panels, Rows, k, Columns, isSymmetric: false, new Scaled(Start, Columns, factor));

    /// <summary>The panels of this symmetric matrix ← aI + bR + cR², by those of R; itself only from the diagonal on.</summary>
    public void BecomePolynomial(FixedMatrix gram)
    {
        const float units = FixedUnits.Polynomial / FixedUnits.Gram;
        FixedProduct.Multiply(gram.LeftOfPanels, gram.Panels, Rows, Rows, Rows, isSymmetric: true, new Polynomial(gram.Start, Start, Columns, NewtonSchulz.B * units, NewtonSchulz.C * units / FixedUnits.Gram));
        var diagonal = (int)MathF.Round(NewtonSchulz.A * FixedUnits.Polynomial);
        for (var i = 0; i < Rows; i++)
        {
            ref var element = ref Start[(long)i * Columns + i];
            element = (short)Math.Clamp(element + diagonal, -short.MaxValue, short.MaxValue);
        }
        FixedProduct.InterleaveSymmetric(Start, Rows, Panels);
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
