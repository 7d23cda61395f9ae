using Perennial.Resilience.Coding;

namespace Perennial.Resilience.Tests.Coding;

public sealed class GaloisTests
{
    [Fact]
    public void The_field_is_the_reference_field()
    {
        for (var a = 0; a < 256; a++)
        {
            for (var b = 0; b < 256; b++) Assert.Equal(Reference.Multiply(a, b), GaloisField.Multiply((byte)a, (byte)b));
            if (a != 0) Assert.Equal(Reference.Inverse(a), GaloisField.Inverse((byte)a));
        }
        Assert.Throws<DivideByZeroException>(() => GaloisField.Inverse(0));
    }

    /// <summary>The vectors of paper 02 §4.</summary>
    [Theory]
    [InlineData(4, 2, 0, new byte[] { 1, 1 })]
    [InlineData(4, 2, 1, new byte[] { 1, 70 })]
    [InlineData(6, 2, 1, new byte[] { 1, 217, 92, 172 })]
    [InlineData(8, 2, 1, new byte[] { 1, 225, 151, 172, 82, 200 })]
    public void The_parity_rows_are_those_of_the_paper(int n, int m, int row, byte[] expected)
    {
        var matrix = GaloisMatrix.Cauchy(n - m, m);
        Assert.Equal(expected, Enumerable.Range(0, n - m).Select(column => matrix[row, column]));
    }

    [Fact]
    public void Row_and_column_zero_are_ones_and_every_pair_of_minors_is_invertible()
    {
        foreach (var (k, m) in new[] { (3, 3), (10, 4), (200, 5), (254, 1) })
        {
            var matrix = GaloisMatrix.Cauchy(k, m);
            Assert.All(Enumerable.Range(0, k), column => Assert.Equal(1, matrix[0, column]));
            Assert.All(Enumerable.Range(0, m), row => Assert.Equal(1, matrix[row, 0]));
            for (var r = 0; r < m; r++)
                for (var s = r + 1; s < m; s++)
                    for (var a = 0; a < k; a++)
                        for (var b = a + 1; b < k; b++)
                            Assert.NotEqual(Reference.Multiply(matrix[r, a], matrix[s, b]), Reference.Multiply(matrix[r, b], matrix[s, a]));
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => GaloisMatrix.Cauchy(254, 2));
    }

    [Fact]
    public void An_inverse_times_its_matrix_is_one_and_a_singular_matrix_has_none()
    {
        var matrix = GaloisMatrix.Cauchy(6, 6);
        var product = matrix.Times(matrix.Inverse()!);
        for (var row = 0; row < 6; row++)
            for (var column = 0; column < 6; column++) Assert.Equal(row == column ? 1 : 0, product[row, column]);
        Assert.Null(GaloisMatrix.Of(2, 2, (_, column) => (byte)(column + 3)).Inverse());
        // A zero on the diagonal needs a change of rows.
        var swapped = GaloisMatrix.Of(2, 2, (row, column) => (byte)(row == column ? 0 : 7));
        Assert.Equal(Reference.Inverse(7), swapped.Inverse()![0, 1]);
    }

    /// <summary>The affine instruction may be absent here; its matrices are checked against its description instead.</summary>
    [Fact]
    public void The_affine_matrices_multiply_as_the_instruction_is_described()
    {
        for (var coefficient = 0; coefficient < 256; coefficient++)
            for (var x = 0; x < 256; x++)
                Assert.Equal(Reference.Multiply(coefficient, x), Reference.Affine(CoefficientTables.AffineMatrix((byte)coefficient), (byte)x));
    }

    [Fact]
    public unsafe void The_table_entries_hold_both_nibbles_and_the_matrix()
    {
        for (var coefficient = 0; coefficient < 256; coefficient++)
        {
            var entry = CoefficientTables.Entry((byte)coefficient);
            for (var nibble = 0; nibble < 16; nibble++)
            {
                Assert.Equal(Reference.Multiply(coefficient, nibble), entry[nibble]);
                Assert.Equal(Reference.Multiply(coefficient, nibble << 4), entry[CoefficientTables.HighOffset + nibble]);
            }
            Assert.Equal(CoefficientTables.AffineMatrix((byte)coefficient), *(ulong*)(entry + CoefficientTables.MatrixOffset));
        }
    }
}
