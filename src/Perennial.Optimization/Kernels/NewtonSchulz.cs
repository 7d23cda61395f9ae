using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>
/// The quintic Newton-Schulz iteration of Muon (Jordan et al. 2024): X ← aX + (bA + cA²)X with A = XXᵀ and (a, b, c) = (3.4445, −4.7750,
/// 2.0315), which brings every singular value that starts above about 0.005 of the Frobenius norm into 0.68 … 1.2. It is no exact
/// orthogonalization and is not meant to be one.
/// </summary>
/// <param name="type">Element type of the products: float32, or bfloat16 where the processor multiplies it.</param>
internal sealed class NewtonSchulz(ScalarType type) : IDisposable
{
    private const float A = 3.4445f, B = -4.7750f, C = 2.0315f;
    private readonly Dictionary<(long Rows, long Columns), Scratch> scratches = [];

    /// <summary>Floating-point operations on an m × n matrix: 4·m²n + 2·m³ an iteration, with m the shorter side.</summary>
    public static double Flops(long rows, long columns, int iterations)
    {
        double small = Math.Min(rows, columns), large = Math.Max(rows, columns);
        return iterations * (4 * small * small * large + 2 * small * small * small);
    }

    /// <summary>Iterates on the content of <see cref="Input"/>.</summary>
    /// <returns>The result; lives here until the next call for this shape.</returns>
    public Tensor Iterate(long rows, long columns, int iterations)
    {
        var scratch = For(rows, columns);
        for (var i = 0; i < iterations; i++)
        {
            if (rows <= columns) scratch.Gram.addmm_(scratch.Values, scratch.ValuesTurned, 0, 1);
            else scratch.Gram.addmm_(scratch.ValuesTurned, scratch.Values, 0, 1);
            // aI + bA + cA², so that one product gives the next X.
            scratch.Polynomial.copy_(scratch.Gram);
            scratch.Polynomial.addmm_(scratch.Gram, scratch.Gram, B, C);
            scratch.Diagonal.add_(A);
            if (rows <= columns) scratch.Next.addmm_(scratch.Polynomial, scratch.Values, 0, 1);
            else scratch.Next.addmm_(scratch.Values, scratch.Polynomial, 0, 1);
            scratch.Swap();
        }
        return scratch.Values;
    }

    /// <summary>Where the matrix must be written before <see cref="Iterate"/>, <c>[rows, columns]</c>, scaled to a Frobenius norm of at most 1.</summary>
    public Tensor Input(long rows, long columns) => For(rows, columns).Values;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var scratch in scratches.Values) scratch.Dispose();
        scratches.Clear();
    }

    private Scratch For(long rows, long columns)
    {
        if (!scratches.TryGetValue((rows, columns), out var scratch)) scratches.Add((rows, columns), scratch = new Scratch(type, rows, columns));
        return scratch;
    }

    private sealed class Scratch : IDisposable
    {
        private Tensor nextTurned;

        public Scratch(ScalarType type, long rows, long columns)
        {
            using var scope = NewDisposeScope();
            var side = Math.Min(rows, columns);
            (Values, Next) = (HugePages.Empty(type, rows, columns), HugePages.Empty(type, rows, columns));
            (ValuesTurned, nextTurned) = (Values.t().DetachFromDisposeScope(), Next.t().DetachFromDisposeScope());
            (Gram, Polynomial) = (HugePages.Empty(type, side, side), HugePages.Empty(type, side, side));
            Diagonal = Polynomial.diagonal().DetachFromDisposeScope();
        }

        public Tensor Values { get; private set; }

        public Tensor ValuesTurned { get; private set; }

        public Tensor Next { get; private set; }

        public Tensor Gram { get; }

        public Tensor Polynomial { get; }

        public Tensor Diagonal { get; }

        public void Swap() => (Values, Next, ValuesTurned, nextTurned) = (Next, Values, nextTurned, ValuesTurned);

        public void Dispose()
        {
            foreach (var tensor in new[] { Values, Next, ValuesTurned, nextTurned, Gram, Polynomial, Diagonal }) tensor.Dispose();
        }
    }
}
