using System.Runtime.Intrinsics;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary><see cref="NewtonSchulz"/> by the Gram matrix, in float32.</summary>
internal sealed class GramForm(long rows, long columns, int iterations) : INewtonSchulzForm
{
    private readonly SymmetricMatrix square = New(rows, columns), cube = New(rows, columns), polynomial = New(rows, columns), turned = New(rows, columns);
    private readonly FloatOperand values = new(ScalarType.Float32, rows, columns), result = new(ScalarType.Float32, rows, columns);
    private SymmetricMatrix gram = New(rows, columns), product = New(rows, columns), next = New(rows, columns);

    /// <inheritdoc/>
    public Tensor Input => values.Stored;

    /// <summary>Floating-point operations of the products.</summary>
    public static double Flops(long rows, long columns, int iterations)
    {
        double small = Math.Min(rows, columns), large = Math.Max(rows, columns), share = SymmetricMatrix.Share(ScalarType.Float32, Math.Min(rows, columns));
        // R² in every iteration; R·R², P·U and P·Q in all but one.
        return 2 * small * small * ((1 + share) * large + share * small * (4 * iterations - 3));
    }

    /// <inheritdoc/>
    public Tensor Iterate()
    {
        gram.Multiply(values.Rows, values.Tails);
        for (var i = 0; i < iterations; i++)
        {
            var isLast = i == iterations - 1;
            square.Multiply(gram, gram);
            if (!isLast) cube.Multiply(gram, square);
            Polynomials(isLast);
            if (i == 0) product.Values.copy_(polynomial.Values);
            else
            {
                next.Multiply(polynomial, product);
                (product, next) = (next, product);
            }
            if (!isLast) gram.Multiply(polynomial, turned);
        }
        result.Become(product, values);
        return result.Stored;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var part in (IDisposable[])[square, cube, polynomial, turned, gram, product, next, values, result]) part.Dispose();
    }

    private static SymmetricMatrix New(long rows, long columns) => new(ScalarType.Float32, Math.Min(rows, columns));

    /// <summary>P = aI + bR + cR² and, but for the last iteration, P·R = aR + bR² + cR³.</summary>
    private unsafe void Polynomials(bool isLast)
    {
        var (r, s, t) = (TensorMemory.Address<float>(gram.Values), TensorMemory.Address<float>(square.Values), TensorMemory.Address<float>(cube.Values));
        var (p, u) = (TensorMemory.Address<float>(polynomial.Values), TensorMemory.Address<float>(turned.Values));
        ThreadTeam.ForRows(gram.Values.NumberOfElements, 1 << 15, (from, to) => Polynomials((float*)r, (float*)s, (float*)t, (float*)p, (float*)u, from, to, isLast));
        polynomial.Diagonal.add_(NewtonSchulz.A);
    }

    private static unsafe void Polynomials(float* r, float* s, float* t, float* p, float* u, long from, long to, bool isLast)
    {
        var (a, b, c) = (Vector256.Create(NewtonSchulz.A), Vector256.Create(NewtonSchulz.B), Vector256.Create(NewtonSchulz.C));
        var i = from;
        for (; i <= to - 8; i += 8)
        {
            var (first, second) = (Vector256.Load(r + i), Vector256.Load(s + i));
            Vector256.FusedMultiplyAdd(c, second, b * first).Store(p + i);
            if (!isLast) Vector256.FusedMultiplyAdd(c, Vector256.Load(t + i), Vector256.FusedMultiplyAdd(b, second, a * first)).Store(u + i);
        }
        for (; i < to; i++)
        {
            p[i] = MathF.FusedMultiplyAdd(NewtonSchulz.C, s[i], NewtonSchulz.B * r[i]);
            if (!isLast) u[i] = MathF.FusedMultiplyAdd(NewtonSchulz.C, t[i], MathF.FusedMultiplyAdd(NewtonSchulz.B, s[i], NewtonSchulz.A * r[i]));
        }
    }
}
