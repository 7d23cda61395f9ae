using System.Runtime.Intrinsics;
using CsCheck;
using TorchSharp;
using static TorchSharp.torch;

namespace Perennial.Optimization.Tests;

public unsafe class FixedProductTests
{
    private static readonly Gen<Vector256<short>> Shorts = Gen.Short.Array[16].Select(values => Vector256.Create(values));
    private static readonly Gen<Vector256<int>> Integers = Gen.Int.Array[8].Select(values => Vector256.Create(values));

    [Fact]
    public void Products_are_exact() => Gen.Select(Gen.Int[1, 6], Gen.Int[1, 6], Gen.Int[1, 6], Gen.Int[0, 1 << 20]).Sample((m, k, n, seed) =>
    {
        using FixedMatrix left = Random(16 * m, 16 * k, seed), right = Random(16 * k, 16 * n, seed + 1), product = new(16 * m, 16 * n);
        right.Interleave();
        product.BecomeProduct(left, right, 1f / 1024);
        Assert.Equal(Rounded(Plain(left).mm(Plain(right)), 1f / 1024), Stored(product));
    }, iter: 60);

    [Fact]
    public void A_matrix_times_its_transpose_is_exact_and_symmetric() => Gen.Select(Gen.Int[1, 6], Gen.Int[1, 6], Gen.Int[0, 1 << 20]).Sample((m, k, seed) =>
    {
        using FixedMatrix wide = Random(16 * m, 16 * k, seed), tall = Random(16 * k, 16 * m, seed), product = new(16 * m, 16 * m);
        wide.InterleaveTurned();
        product.BecomeSymmetric(wide.Left, wide.Panels, wide.Columns, 1f / 1024);
        Assert.Equal(Rounded(Plain(wide).mm(Plain(wide).t()), 1f / 1024), InPanels(product));
        tall.Interleave();
        product.BecomeSymmetric(tall.LeftOfPanels, tall.Panels, tall.Rows, 1f / 1024);
        Assert.Equal(Rounded(Plain(tall).t().mm(Plain(tall)), 1f / 1024), InPanels(product));
    }, iter: 60);

    [Fact]
    public void Threads_change_no_bit_of_a_large_one()
    {
        using FixedMatrix left = Random(320, 480, 1), right = Random(480, 352, 2), product = new(320, 352);
        right.Interleave();
        var before = get_num_threads();
        var found = new[] { 1, 2, 3 }.Select(threads =>
        {
            set_num_threads(threads);
            product.Values.zero_();
            product.BecomeProduct(left, right, 1f / 4096);
            return Stored(product);
        }).ToList();
        set_num_threads(before);
        Assert.Equal(Rounded(Plain(left).mm(Plain(right)), 1f / 4096), found[0]);
        Assert.Equal(found[0], found[1]);
        Assert.Equal(found[0], found[2]);
    }

    [Fact]
    public void Instructions_of_the_processor_and_general_ones_give_the_same()
    {
        Gen.Select(Shorts, Shorts, Integers).Sample((x, y, sum) =>
        {
            // Both operands at the lowest number in both places is the one case in which the instruction overflows; units never reach it.
            var low = Vector256.Max(x, Vector256.Create((short)-short.MaxValue));
            Assert.Equal(FixedVectors.General.MultiplyAdd(low, y, sum), FixedVectors.MultiplyAdd(low, y, sum));
            Assert.Equal(FixedVectors.General.UnpackLow(x, y), FixedVectors.UnpackLow(x, y));
            Assert.Equal(FixedVectors.General.UnpackHigh(x, y), FixedVectors.UnpackHigh(x, y));
            var (first, second) = FixedVectors.Unpack(x);
            Assert.Equal(x, FixedVectors.Pack(first, second));
        });
        Gen.Select(Integers, Integers).Sample((x, y) => Assert.Equal(FixedVectors.General.Pack(x, y), FixedVectors.Pack(x, y)));
        Gen.Float[-1e6f, 1e6f].Array[8].Select(values => Vector256.Create(values)).Sample(values =>
        {
            Assert.Equal(FixedVectors.General.Round(values), FixedVectors.Round(values));
            var halves = Vector256.Floor(values) + Vector256.Create(0.5f);
            Assert.Equal(FixedVectors.General.Round(halves), FixedVectors.Round(halves));
        });
    }

    private static FixedMatrix Random(int rows, int columns, int seed)
    {
        var matrix = new FixedMatrix(rows, columns);
        using var scope = NewDisposeScope();
        // Sums of up to 480 products stay below 2³¹.
        matrix.Values.copy_(randint(-2000, 2001, [rows, columns], ScalarType.Int16, generator: new Generator((ulong)seed)));
        return matrix;
    }

    private static Tensor Plain(FixedMatrix matrix) => matrix.Values.to_type(ScalarType.Float64);

    /// <summary>As the kernel rounds: sums to float32, then times the factor, to nearest.</summary>
    private static short[] Rounded(Tensor sums, float factor) =>
        [.. sums.to_type(ScalarType.Float32).contiguous().data<float>().ToArray().Select(sum => (short)Math.Clamp(MathF.Round(sum * factor), short.MinValue, short.MaxValue))];

    private static short[] InPanels(FixedMatrix matrix)
    {
        int[] order = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15];
        var found = new short[matrix.Rows * matrix.Columns];
        for (var row = 0; row < matrix.Rows; row++)
            for (var column = 0; column < matrix.Columns; column++)
                found[row * matrix.Columns + column] = matrix.Panels[(column / 16 * matrix.Rows / 2 + row / 2) * 32 + Array.IndexOf(order, column % 16) * 2 + row % 2];
        return found;
    }

    private static short[] Stored(FixedMatrix matrix) => matrix.Values.data<short>().ToArray();
}
