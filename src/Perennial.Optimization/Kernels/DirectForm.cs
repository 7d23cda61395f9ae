using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary><see cref="NewtonSchulz"/> as published, in floating point.</summary>
internal sealed class DirectForm(ScalarType type, long rows, long columns, int iterations) : INewtonSchulzForm
{
    private readonly SymmetricMatrix gram = new(type, Math.Min(rows, columns)), polynomial = new(type, Math.Min(rows, columns));
    private FloatOperand values = new(type, rows, columns), next = new(type, rows, columns);

    /// <inheritdoc/>
    public Tensor Input => values.Stored;

    /// <summary>Floating-point operations of the products.</summary>
    public static double Flops(ScalarType type, long rows, long columns, int iterations)
    {
        double small = Math.Min(rows, columns), large = Math.Max(rows, columns), share = SymmetricMatrix.Share(type, Math.Min(rows, columns));
        return iterations * 2 * (share * small * small * large + share * small * small * small + small * small * large);
    }

    /// <inheritdoc/>
    public Tensor Iterate()
    {
        for (var i = 0; i < iterations; i++)
        {
            gram.Multiply(values.Rows, values.Tails);
            // aI + bA + cA², so that one product gives the next X.
            polynomial.Values.copy_(gram.Values);
            polynomial.Multiply(gram.Rows, gram.Tails, NewtonSchulz.B, NewtonSchulz.C);
            polynomial.Diagonal.add_(NewtonSchulz.A);
            next.Become(polynomial, values);
            (values, next) = (next, values);
        }
        return values.Stored;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var part in (IDisposable[])[gram, polynomial, values, next]) part.Dispose();
    }
}
