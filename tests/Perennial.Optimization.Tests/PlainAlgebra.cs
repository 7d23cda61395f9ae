namespace Perennial.Optimization.Tests;

/// <summary>Matrices of doubles by plain loops: what references are written with.</summary>
internal static class PlainAlgebra
{
    public static double[,] Times(this double[,] a, double[,] b)
    {
        var result = new double[a.GetLength(0), b.GetLength(1)];
        for (var i = 0; i < a.GetLength(0); i++)
            for (var k = 0; k < a.GetLength(1); k++)
                for (var j = 0; j < b.GetLength(1); j++)
                    result[i, j] += a[i, k] * b[k, j];
        return result;
    }

    public static double[,] Turned(this double[,] a) => Fill(a.GetLength(1), a.GetLength(0), (i, j) => a[j, i]);

    public static double[,] Map(this double[,] a, Func<double, double> f) => Fill(a.GetLength(0), a.GetLength(1), (i, j) => f(a[i, j]));

    public static double[,] With(this double[,] a, double[,] b, Func<double, double, double> f) => Fill(a.GetLength(0), a.GetLength(1), (i, j) => f(a[i, j], b[i, j]));

    public static double Norm(this double[,] a) => Math.Sqrt(a.Cast<double>().Sum(x => x * x));

    public static double[,] Fill(int rows, int columns, Func<int, int, double> f)
    {
        var result = new double[rows, columns];
        for (var i = 0; i < rows; i++)
            for (var j = 0; j < columns; j++) result[i, j] = f(i, j);
        return result;
    }

    /// <summary>Eigenvectors of a symmetric matrix in columns, largest eigenvalue first, by Jacobi rotations.</summary>
    public static double[,] Eigenvectors(this double[,] symmetric)
    {
        var n = symmetric.GetLength(0);
        var a = (double[,])symmetric.Clone();
        var v = Fill(n, n, (i, j) => i == j ? 1 : 0);
        for (var sweep = 0; sweep < 60; sweep++)
        {
            var off = Enumerable.Range(0, n).Sum(i => Enumerable.Range(0, n).Where(j => j != i).Sum(j => a[i, j] * a[i, j]));
            if (Math.Sqrt(off) <= 1e-15 * a.Norm()) break;
            for (var p = 0; p < n; p++)
                for (var q = p + 1; q < n; q++)
                {
                    if (Math.Abs(a[p, q]) < 1e-300) continue;
                    var theta = (a[q, q] - a[p, p]) / (2 * a[p, q]);
                    var t = (theta >= 0 ? 1 : -1) / (Math.Abs(theta) + Math.Sqrt(theta * theta + 1));
                    var (c, s) = (1 / Math.Sqrt(t * t + 1), t / Math.Sqrt(t * t + 1));
                    for (var k = 0; k < n; k++) (a[k, p], a[k, q]) = (c * a[k, p] - s * a[k, q], s * a[k, p] + c * a[k, q]);
                    for (var k = 0; k < n; k++) (a[p, k], a[q, k]) = (c * a[p, k] - s * a[q, k], s * a[p, k] + c * a[q, k]);
                    for (var k = 0; k < n; k++) (v[k, p], v[k, q]) = (c * v[k, p] - s * v[k, q], s * v[k, p] + c * v[k, q]);
                }
        }
        var order = Enumerable.Range(0, n).OrderByDescending(i => a[i, i]).ToArray();
        return Fill(n, n, (i, j) => v[i, order[j]]);
    }

    /// <summary>The orthonormal factor of a QR decomposition, by Gram-Schmidt twice over.</summary>
    public static double[,] Orthonormal(this double[,] a)
    {
        var (rows, columns) = (a.GetLength(0), a.GetLength(1));
        var q = (double[,])a.Clone();
        for (var j = 0; j < columns; j++)
        {
            for (var pass = 0; pass < 2; pass++)
                for (var k = 0; k < j; k++)
                {
                    var dot = Enumerable.Range(0, rows).Sum(i => q[i, k] * q[i, j]);
                    for (var i = 0; i < rows; i++) q[i, j] -= dot * q[i, k];
                }
            var norm = Math.Sqrt(Enumerable.Range(0, rows).Sum(i => q[i, j] * q[i, j]));
            for (var i = 0; i < rows; i++) q[i, j] /= norm;
        }
        return q;
    }
}
