namespace Perennial.Resilience.Coding;

/// <summary>An immutable matrix over GF(2^8).</summary>
public sealed class GaloisMatrix
{
    private readonly byte[,] cells;

    private GaloisMatrix(byte[,] cells) => this.cells = cells;

    /// <summary>Rows.</summary>
    public int Rows => cells.GetLength(0);

    /// <summary>Columns.</summary>
    public int Columns => cells.GetLength(1);

    /// <summary>One element.</summary>
    public byte this[int row, int column] => cells[row, column];

    /// <summary>A matrix whose elements come from a function of (row, column).</summary>
    public static GaloisMatrix Of(int rows, int columns, Func<int, int, byte> element)
    {
        ArgumentNullException.ThrowIfNull(element);
        var cells = new byte[rows, columns];
        for (var row = 0; row < rows; row++)
            for (var column = 0; column < columns; column++) cells[row, column] = element(row, column);
        return new(cells);
    }

    /// <summary>
    /// The parity coefficients <c>[m, k]</c> of paper 02 §4: the Cauchy matrix 1/((k+i) ⊕ j), columns divided by their first element, then rows
    /// by theirs. Row 0 and column 0 are ones, and every square minor is invertible, as in any Cauchy matrix with scaled lines.
    /// </summary>
    /// <param name="data">k, at least 1.</param>
    /// <param name="parity">m, at least 1; k + m at most 255.</param>
    /// <exception cref="ArgumentOutOfRangeException">The counts do not fit the field.</exception>
    public static GaloisMatrix Cauchy(int data, int parity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(data, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(parity, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(data + parity, 255);
        byte Plain(int row, int column) => GaloisField.Inverse((byte)((data + row) ^ column));
        byte Columned(int row, int column) => GaloisField.Divide(Plain(row, column), Plain(0, column));
        return Of(parity, data, (row, column) => GaloisField.Divide(Columned(row, column), Columned(row, 0)));
    }

    /// <summary>This · other.</summary>
    /// <exception cref="ArgumentException">The inner sizes differ.</exception>
    public GaloisMatrix Times(GaloisMatrix other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (Columns != other.Rows) throw new ArgumentException($"a matrix with {Columns} columns cannot multiply one with {other.Rows} rows", nameof(other));
        return Of(Rows, other.Columns, (row, column) =>
        {
            byte sum = 0;
            for (var inner = 0; inner < Columns; inner++) sum ^= GaloisField.Multiply(cells[row, inner], other.cells[inner, column]);
            return sum;
        });
    }

    /// <summary>The inverse, by Gauss-Jordan elimination; null where the matrix is singular.</summary>
    /// <exception cref="InvalidOperationException">The matrix is not square.</exception>
    public GaloisMatrix? Inverse()
    {
        if (Rows != Columns) throw new InvalidOperationException($"a {Rows} by {Columns} matrix has no inverse");
        var left = (byte[,])cells.Clone();
        var right = new byte[Rows, Rows];
        for (var i = 0; i < Rows; i++) right[i, i] = 1;
        for (var column = 0; column < Rows; column++)
        {
            var pivot = column;
            while (pivot < Rows && left[pivot, column] == 0) pivot++;
            if (pivot == Rows) return null;
            Swap(left, column, pivot);
            Swap(right, column, pivot);
            var scale = GaloisField.Inverse(left[column, column]);
            Scale(left, column, scale);
            Scale(right, column, scale);
            for (var row = 0; row < Rows; row++)
            {
                var factor = left[row, column];
                if (row == column || factor == 0) continue;
                Subtract(left, row, column, factor);
                Subtract(right, row, column, factor);
            }
        }
        return new(right);
    }

    private static void Swap(byte[,] matrix, int a, int b)
    {
        if (a == b) return;
        for (var i = 0; i < matrix.GetLength(1); i++) (matrix[a, i], matrix[b, i]) = (matrix[b, i], matrix[a, i]);
    }

    private static void Scale(byte[,] matrix, int row, byte factor)
    {
        for (var i = 0; i < matrix.GetLength(1); i++) matrix[row, i] = GaloisField.Multiply(matrix[row, i], factor);
    }

    private static void Subtract(byte[,] matrix, int row, int from, byte factor)
    {
        for (var i = 0; i < matrix.GetLength(1); i++) matrix[row, i] ^= GaloisField.Multiply(matrix[from, i], factor);
    }
}
