using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>Adafactor's passes over a matrix: sums of squares of rows and columns, the size of the update, the update.</summary>
internal static unsafe class FactoredKernel
{
    private const int PieceRows = 64;

    /// <summary>Means of (s·g)² + ε over every row and every column, in double.</summary>
    public static void Means(float* g, int rows, int columns, float scale, float epsilon, double[] rowMeans, double[] columnMeans)
    {
        var partials = new double[(rows + PieceRows - 1) / PieceRows][];
        ThreadTeam.ForRows(rows, PieceRows, (first, end) =>
        {
            // 64 squares of one size add up in float32 to 7 digits; pieces are added in double.
            var sums = new float[columns];
            fixed (float* column = sums)
                for (var row = first; row < end; row++) rowMeans[row] = Row(g + row * columns, column, columns, scale, epsilon) / columns;
            partials[first / PieceRows] = Array.ConvertAll(sums, sum => (double)sum);
        });
        for (var j = 0; j < columns; j++)
        {
            var sum = 0.0;
            foreach (var partial in partials) sum += partial[j];
            columnMeans[j] = sum / rows;
        }
    }

    /// <summary>Sum over the matrix of (s·g·row·column)².</summary>
    public static double Squares(float* g, int rows, int columns, float scale, float* row, float* column)
    {
        var sums = new double[rows];
        ThreadTeam.ForRows(rows, PieceRows, (first, end) =>
        {
            for (var r = first; r < end; r++)
            {
                var factor = row[r] * scale;
                var (wide, sum) = (Vector256.Create(factor), Vector256<float>.Zero);
                var i = 0;
                for (; i <= columns - 8; i += 8)
                {
                    var update = Vector256.Load(g + r * columns + i) * wide * Vector256.Load(column + i);
                    sum = Vector256.FusedMultiplyAdd(update, update, sum);
                }
                var total = (double)Vector256.Sum(sum);
                for (; i < columns; i++)
                {
                    var update = g[r * columns + i] * factor * column[i];
                    total += update * update;
                }
                sums[r] = total;
            }
        });
        return sums.Sum();
    }

    /// <summary>p ← p·keep + move·u with u = s·g·row·column, or with momentum: b ← β₁b + (1 − β₁)u, p ← p·keep + move·b. <paramref name="shrink"/> is the clip of u.</summary>
    public static void Apply(float* p, float* g, float* momentum, int rows, int columns, float scale, float* row, float* column, float shrink, float beta1, float move, float keep) =>
        ThreadTeam.ForRows(rows, PieceRows, (first, end) =>
        {
            for (var r = first; r < end; r++)
            {
                var at = r * columns;
                var factor = row[r] * scale * shrink;
                var (wide, kept, size, decay, rest) = (Vector256.Create(factor), Vector256.Create(keep), Vector256.Create(move), Vector256.Create(beta1), Vector256.Create(1 - beta1));
                var i = 0;
                for (; i <= columns - 8; i += 8)
                {
                    var update = Vector256.Load(g + at + i) * wide * Vector256.Load(column + i);
                    if (momentum is not null)
                    {
                        update = Vector256.FusedMultiplyAdd(Vector256.Load(momentum + at + i), decay, update * rest);
                        update.Store(momentum + at + i);
                    }
                    Vector256.FusedMultiplyAdd(update, size, Vector256.Load(p + at + i) * kept).Store(p + at + i);
                }
                for (; i < columns; i++)
                {
                    var update = g[at + i] * factor * column[i];
                    if (momentum is not null) update = momentum[at + i] = MathF.FusedMultiplyAdd(momentum[at + i], beta1, update * (1 - beta1));
                    p[at + i] = MathF.FusedMultiplyAdd(update, move, p[at + i] * keep);
                }
            }
        });

    private static double Row(float* g, float* column, int columns, float scale, float epsilon)
    {
        var (factor, small, sum) = (Vector256.Create(scale), Vector256.Create(epsilon), Vector256<float>.Zero);
        var i = 0;
        for (; i <= columns - 8; i += 8)
        {
            var gradient = Vector256.Load(g + i) * factor;
            var square = Vector256.FusedMultiplyAdd(gradient, gradient, small);
            sum += square;
            (Vector256.Load(column + i) + square).Store(column + i);
        }
        var total = (double)Vector256.Sum(sum);
        for (; i < columns; i++)
        {
            var gradient = g[i] * scale;
            var square = MathF.FusedMultiplyAdd(gradient, gradient, epsilon);
            total += square;
            column[i] += square;
        }
        return total;
    }
}
