using Perennial.Core;

namespace Perennial.Models;

/// <summary>
/// The places of a sparse matrix's values: a uniform random subset without repetition, in row-major order. A pure function of (seed, the
/// matrix's index, its shape, the number of values): it is drawn anew wherever it is needed and never stored.
/// </summary>
public sealed class SparseSupport
{
    private SparseSupport(long rows, long columns, int[] positions, int[] starts) => (Rows, Columns, Positions, Starts) = (rows, columns, positions, starts);

    /// <summary>Rows of the matrix as it is stored.</summary>
    public long Rows { get; }

    /// <summary>Its columns.</summary>
    public long Columns { get; }

    /// <summary>Row-major positions, rising.</summary>
    public int[] Positions { get; }

    /// <summary>For every row where its positions begin, and at the end their number.</summary>
    public int[] Starts { get; }

    /// <summary>Number of values.</summary>
    public int Count => Positions.Length;

    /// <summary>Bytes that the places take.</summary>
    public long Bytes => sizeof(int) * ((long)Positions.Length + Starts.Length);

    /// <summary>Rows without any value.</summary>
    public int DeadRows => Enumerable.Range(0, (int)Rows).Count(row => Starts[row] == Starts[row + 1]);

    /// <summary>Columns without any value.</summary>
    public int DeadColumns => (int)Columns - Positions.Select(position => position % Columns).Distinct().Count();

    /// <summary>Draws a support by selection sampling (Knuth, volume 2, algorithm 3.4.2 S): each position is taken with probability (wanted left) / (positions left).</summary>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="density">Share of positions; their number is ⌊density · rows · columns⌋.</param>
    /// <param name="seed">The key.</param>
    /// <param name="item">What tells this matrix from others.</param>
    /// <exception cref="PerennialException">Exit 2: no position would be left, or the matrix has 2^31 entries or more.</exception>
    public static SparseSupport Draw(long rows, long columns, double density, ulong seed, ulong item)
    {
        var all = rows * columns;
        if (all > int.MaxValue) throw PerennialException.Usage($"parameterization: a matrix of {rows} by {columns} is too large for 32-bit places; leave its kind out of targets");
        // A density such as 0.05 times 1280 must give 64 and not 63.
        var count = (int)Math.Floor(density * all + 1e-6);
        if (count == 0) throw PerennialException.Usage($"parameterization: density {density} leaves no value of a matrix of {rows} by {columns}; take at least {1.0 / all:G3}");
        var positions = new int[count];
        var starts = new int[rows + 1];
        long position = 0, row = 0;
        var taken = 0;
        Span<uint> draws = stackalloc uint[4];
        for (var block = 0u; taken < count; block++)
        {
            (draws[0], draws[1], draws[2], draws[3]) = Philox.Block(block, (uint)item, (uint)(item >> 32) << 16, (uint)RandomPurpose.Initialization, (uint)seed, (uint)(seed >> 32));
            for (var i = 0; i < 4 && taken < count; i++, position++)
            {
                if ((ulong)draws[i] * (ulong)(all - position) >> 32 >= (ulong)(count - taken)) continue;
                for (; row <= position / columns; row++) starts[row] = taken;
                positions[taken++] = (int)position;
            }
        }
        for (; row <= rows; row++) starts[row] = taken;
        return new SparseSupport(rows, columns, positions, starts);
    }

    /// <summary>dense[place] += values[i] for the places of some rows; <paramref name="dense"/> begins at the first of them.</summary>
    internal unsafe void Add(float* dense, long firstRow, long pastRow, float* values)
    {
        var origin = firstRow * Columns;
        for (int i = Starts[firstRow], end = Starts[pastRow]; i < end; i++) dense[Positions[i] - origin] += values[i];
    }

    /// <summary>values[i] ← keep · values[i] + dense[place] for the places of some rows.</summary>
    internal unsafe void Gather(float* dense, long firstRow, long pastRow, float* values, float keep)
    {
        var origin = firstRow * Columns;
        for (int i = Starts[firstRow], end = Starts[pastRow]; i < end; i++)
            values[i] = keep == 0 ? dense[Positions[i] - origin] : values[i] * keep + dense[Positions[i] - origin];
    }
}
