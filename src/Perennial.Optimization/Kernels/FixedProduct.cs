using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>What becomes of the sums of a product: eight columns each, 0 … 3 and 8 … 11 of a panel in one vector, 4 … 7 and 12 … 15 in the other.</summary>
internal interface IProductResult
{
    /// <summary>Takes sixteen sums.</summary>
    /// <param name="row">Their row.</param>
    /// <param name="column">Their first column.</param>
    /// <param name="first">Columns 0 … 3 and 8 … 11 from there.</param>
    /// <param name="second">Columns 4 … 7 and 12 … 15.</param>
    void Take(int row, int column, Vector256<int> first, Vector256<int> second);
}

/// <summary>
/// Matrix products of 16-bit integers, summed exactly in 32 bits: pairs of neighbours along the summed dimension are multiplied and added by one
/// instruction, so that a processor without bfloat16 products does 1.6 times as many as in float32. Integer sums are the same in any order:
/// threads, blocks and processors change no bit. Every dimension is a multiple of <see cref="Panel"/>. Overflow is the caller's care: a sum and every part of
/// it is at most the product of the norms of row and column (Cauchy-Schwarz), which must stay below 2³¹.
/// </summary>
internal static unsafe class FixedProduct
{
    /// <summary>Columns of a panel.</summary>
    public const int Panel = 16;

    /// <summary>A length, rounded up to whole panels.</summary>
    public static int Padded(long length) => checked((int)((length + Panel - 1) / Panel * Panel));

    /// <summary>Left · right, <c>[m, k] · [k, n]</c>, given to <paramref name="result"/>.</summary>
    /// <param name="left">The left operand, <c>[m, k]</c>.</param>
    /// <param name="right">The right one, <c>[k, n]</c>, in panels.</param>
    /// <param name="m">Rows.</param>
    /// <param name="k">Summed.</param>
    /// <param name="n">Columns.</param>
    /// <param name="isSymmetric">Whether only panels from the diagonal on are wanted, as far as they reach.</param>
    /// <param name="result">What takes the sums.</param>
    public static void Multiply<T>(FixedOperand left, short* right, int m, int k, int n, bool isSymmetric, T result)
        where T : struct, IProductResult
    {
        var panels = n / Panel;
        var pairs = k / 2;
        // The tallest first, where they are not alike.
        ThreadTeam.ForRows(panels, PanelsAtOnce((long)m * k), (first, end) =>
        {
            for (var panel = panels - 1 - (int)first; panel > panels - 1 - (int)end; panel--)
            {
                var height = isSymmetric ? Math.Min(m, (panel + 1) * Panel) : m;
                for (var row = 0; row < height; row += 4)
                    Tile(left.At(row), left.Row, left.Pair, (int*)right + (nint)panel * pairs * Panel, pairs, row, panel * Panel, ref result);
            }
        });
    }

    /// <summary>Panels of a matrix <c>[k, n]</c>: sixteen columns after sixteen, in each the pairs of neighbouring rows, columns in the order 0-3, 8-11, 4-7, 12-15.</summary>
    public static void Interleave(short* values, int k, int n, short* panels) =>
        ThreadTeam.ForRows(n / Panel, PanelsAtOnce(k), (first, end) =>
        {
            for (var panel = (int)first; panel < end; panel++) Interleave(values, k, n, panel, k, panels);
        });

    /// <summary>Panels of the transpose of a matrix <c>[n, k]</c>.</summary>
    public static void InterleaveTurned(short* values, int n, int k, short* panels) =>
        ThreadTeam.ForRows(n / Panel, PanelsAtOnce(k), (first, end) =>
        {
            for (var panel = (int)first; panel < end; panel++) InterleaveTurned(values, k, panel, 0, panels);
        });

    /// <summary>Panels of a symmetric matrix <c>[m, m]</c>, of which only the diagonal and what lies right of it are read. Below it, the diagonal's blocks are made alike.</summary>
    public static void InterleaveSymmetric(short* values, int m, short* panels) =>
        ThreadTeam.ForRows(m / Panel, PanelsAtOnce(m), (first, end) =>
        {
            for (var panel = (int)first; panel < end; panel++)
            {
                var block = values + (nint)panel * Panel * (m + 1);
                // Rounded factors do not commute exactly, and what is not symmetric would add up.
                for (var row = 1; row < Panel; row++)
                    for (var column = 0; column < row; column++) block[row * m + column] = block[column * m + row];
                Interleave(values, m, m, panel, (panel + 1) * Panel, panels);
                InterleaveTurned(values, m, panel, (panel + 1) * Panel, panels);
            }
        });

    /// <summary>One panel's first rows of a matrix <c>[k, n]</c>.</summary>
    private static void Interleave(short* values, int k, int n, int panel, int rows, short* panels)
    {
        short* source = values + panel * Panel, target = panels + (nint)panel * k * Panel;
        for (var row = 0; row < rows; row += 2, source += 2 * n, target += 2 * Panel)
        {
            var (even, odd) = (Vector256.Load(source), Vector256.Load(source + n));
            FixedVectors.UnpackLow(even, odd).Store(target);
            FixedVectors.UnpackHigh(even, odd).Store(target + Panel);
        }
    }

    /// <summary>One panel's rows from <paramref name="row"/> on, of the transpose of a matrix <c>[n, k]</c>.</summary>
    private static void InterleaveTurned(short* values, int k, int panel, int row, short* panels)
    {
        var pairs = k / 2;
        int* source = (int*)values + (nint)panel * Panel * pairs, target = (int*)panels + (nint)panel * pairs * Panel;
        for (var pair = row / 2; pair < pairs; pair += 8)
        {
            Blocks.Turn(source + pair, source + 8 * pairs + pair, pairs, target + pair * Panel, Panel);
            Blocks.Turn(source + 4 * pairs + pair, source + 12 * pairs + pair, pairs, target + pair * Panel + 8, Panel);
        }
    }

    /// <summary>So many that a thread has some work.</summary>
    private static int PanelsAtOnce(long workOfOne) => (int)Math.Max(1, (1 << 15) / Math.Max(1, workOfOne));

    /// <summary>Four rows by one panel: eight vectors of sums, which stay in registers.</summary>
    private static void Tile<T>(int* left, nint row, nint pair, int* right, int pairs, int at, int column, ref T result)
        where T : struct, IProductResult
    {
        Vector256<int> a0 = default, a1 = default, b0 = default, b1 = default, c0 = default, c1 = default, d0 = default, d1 = default;
        int* a = left, b = a + row, c = b + row, d = c + row;
        nint place = 0;
        for (var i = 0; i < pairs; i++, place += pair, right += Panel)
        {
            var (first, second) = (Vector256.Load(right).AsInt16(), Vector256.Load(right + 8).AsInt16());
            var x = Vector256.Create(a[place]).AsInt16();
            a0 = FixedVectors.MultiplyAdd(x, first, a0);
            a1 = FixedVectors.MultiplyAdd(x, second, a1);
            x = Vector256.Create(b[place]).AsInt16();
            b0 = FixedVectors.MultiplyAdd(x, first, b0);
            b1 = FixedVectors.MultiplyAdd(x, second, b1);
            x = Vector256.Create(c[place]).AsInt16();
            c0 = FixedVectors.MultiplyAdd(x, first, c0);
            c1 = FixedVectors.MultiplyAdd(x, second, c1);
            x = Vector256.Create(d[place]).AsInt16();
            d0 = FixedVectors.MultiplyAdd(x, first, d0);
            d1 = FixedVectors.MultiplyAdd(x, second, d1);
        }
        result.Take(at, column, a0, a1);
        result.Take(at + 1, column, b0, b1);
        result.Take(at + 2, column, c0, c1);
        result.Take(at + 3, column, d0, d1);
    }
}
