using System.Collections.Concurrent;
using System.Runtime.Intrinsics;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>
/// The quintic Newton-Schulz iteration of Muon (Jordan et al. 2024): X ← aX + (bA + cA²)X with A = XXᵀ and (a, b, c) = (3.4445, −4.7750,
/// 2.0315), which brings every singular value that starts above about 0.005 of the Frobenius norm into 0.68 … 1.2. It is no exact
/// orthogonalization and is not meant to be one.
/// </summary>
/// <remarks>
/// With m the shorter side and n the longer, float32 takes the cheaper of two forms that are one in exact arithmetic. The published one: A and
/// bA + cA² are symmetric, so little more than half of each is computed. By the Gram matrix, for long matrices: with R = XXᵀ and P = aI + bR + cR²
/// an iteration is R ← P·R·P and Q ← P·Q, all m × m, symmetric and commuting, and the result is Q·X. bfloat16 takes the published form, for in
/// the other roundings of R add up.
/// </remarks>
internal sealed class NewtonSchulz : IDisposable
{
    private const float A = 3.4445f, B = -4.7750f, C = 2.0315f;
    private readonly IForm form;

    /// <summary>Scratch for one shape.</summary>
    /// <param name="type">Element type of the products: float32, or bfloat16 where the processor multiplies it.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    public NewtonSchulz(ScalarType type, long rows, long columns)
    {
        (Rows, Columns) = (rows, columns);
        form = ByGram(type, rows, columns) ? new GramForm(rows, columns) : new DirectForm(type, rows, columns);
    }

    private interface IForm : IDisposable
    {
        Tensor Input { get; }

        Tensor Iterate(int iterations);
    }

    /// <summary>Rows of the matrix.</summary>
    public long Rows { get; }

    /// <summary>Columns of the matrix.</summary>
    public long Columns { get; }

    /// <summary>Where the matrix must be written before <see cref="Iterate"/>, <c>[rows, columns]</c>, scaled to a Frobenius norm of at most 1.</summary>
    public Tensor Input => form.Input;

    /// <summary>Floating-point operations on an m × n matrix.</summary>
    /// <param name="type">Element type of the products.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="iterations">Iterations.</param>
    public static double Flops(ScalarType type, long rows, long columns, int iterations) =>
        ByGram(type, rows, columns) ? GramFlops(rows, columns, iterations) : DirectFlops(type, rows, columns, iterations);

    /// <summary>Iterates on the content of <see cref="Input"/>.</summary>
    /// <param name="iterations">At least one.</param>
    /// <returns>The result, <c>[rows, columns]</c>; lives here until the next call.</returns>
    public Tensor Iterate(int iterations) => form.Iterate(iterations);

    /// <inheritdoc/>
    public void Dispose() => form.Dispose();

    private static bool ByGram(ScalarType type, long rows, long columns) => type == ScalarType.Float32 && GramFlops(rows, columns, 5) < DirectFlops(type, rows, columns, 5);

    private static double DirectFlops(ScalarType type, long rows, long columns, int iterations)
    {
        double small = Math.Min(rows, columns), large = Math.Max(rows, columns), share = SymmetricMatrix.Share(type, Math.Min(rows, columns));
        return iterations * 2 * (share * small * small * large + share * small * small * small + small * small * large);
    }

    private static double GramFlops(long rows, long columns, int iterations)
    {
        double small = Math.Min(rows, columns), large = Math.Max(rows, columns), share = SymmetricMatrix.Share(ScalarType.Float32, Math.Min(rows, columns));
        // R² in every iteration; R·R², P·U and P·Q in all but one.
        return 2 * small * small * ((1 + share) * large + share * small * (4 * iterations - 3));
    }

    /// <summary>A matrix with its shorter side first, as an operand.</summary>
    private sealed class Operand : IDisposable
    {
        public Operand(ScalarType type, long rows, long columns)
        {
            Stored = HugePages.Empty(type, rows, columns);
            using var scope = NewDisposeScope();
            Turned = Stored.t().DetachFromDisposeScope();
            var (wide, tall) = rows <= columns ? (Stored, Turned) : (Turned, Stored);
            (Rows, Tails) = SymmetricMatrix.Views(wide, tall, SymmetricMatrix.StripOf(type, wide.shape[0]));
        }

        /// <summary>As given, <c>[rows, columns]</c>.</summary>
        public Tensor Stored { get; }

        public Tensor Turned { get; }

        /// <summary>Strips of X.</summary>
        public Tensor[] Rows { get; }

        /// <summary>What Xᵀ contributes to each.</summary>
        public Tensor[] Tails { get; }

        /// <summary>This ← P·X.</summary>
        public void Become(SymmetricMatrix factor, Operand operand)
        {
            if (Stored.shape[0] <= Stored.shape[1]) Stored.addmm_(factor.Values, operand.Stored, 0, 1);
            else Stored.addmm_(operand.Stored, factor.Values, 0, 1);
        }

        public void Dispose()
        {
            foreach (var tensor in (Tensor[])[.. Rows, .. Tails, Turned, Stored]) tensor.Dispose();
        }
    }

    private sealed class DirectForm(ScalarType type, long rows, long columns) : IForm
    {
        private readonly SymmetricMatrix gram = new(type, Math.Min(rows, columns)), polynomial = new(type, Math.Min(rows, columns));
        private Operand values = new(type, rows, columns), next = new(type, rows, columns);

        public Tensor Input => values.Stored;

        public Tensor Iterate(int iterations)
        {
            for (var i = 0; i < iterations; i++)
            {
                gram.Multiply(values.Rows, values.Tails);
                // aI + bA + cA², so that one product gives the next X.
                polynomial.Values.copy_(gram.Values);
                polynomial.Multiply(gram.Rows, gram.Tails, B, C);
                polynomial.Diagonal.add_(A);
                next.Become(polynomial, values);
                (values, next) = (next, values);
            }
            return values.Stored;
        }

        public void Dispose()
        {
            foreach (var part in (IDisposable[])[gram, polynomial, values, next]) part.Dispose();
        }
    }

    private sealed class GramForm(long rows, long columns) : IForm
    {
        private readonly SymmetricMatrix square = New(rows, columns), cube = New(rows, columns), polynomial = New(rows, columns), turned = New(rows, columns);
        private readonly Operand values = new(ScalarType.Float32, rows, columns), result = new(ScalarType.Float32, rows, columns);
        private SymmetricMatrix gram = New(rows, columns), product = New(rows, columns), next = New(rows, columns);

        public Tensor Input => values.Stored;

        public Tensor Iterate(int iterations)
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
            polynomial.Diagonal.add_(A);
        }

        private static unsafe void Polynomials(float* r, float* s, float* t, float* p, float* u, long from, long to, bool isLast)
        {
            var (a, b, c) = (Vector256.Create(A), Vector256.Create(B), Vector256.Create(C));
            var i = from;
            for (; i <= to - 8; i += 8)
            {
                var (first, second) = (Vector256.Load(r + i), Vector256.Load(s + i));
                Vector256.FusedMultiplyAdd(c, second, b * first).Store(p + i);
                if (!isLast) Vector256.FusedMultiplyAdd(c, Vector256.Load(t + i), Vector256.FusedMultiplyAdd(b, second, a * first)).Store(u + i);
            }
            for (; i < to; i++)
            {
                p[i] = MathF.FusedMultiplyAdd(C, s[i], B * r[i]);
                if (!isLast) u[i] = MathF.FusedMultiplyAdd(C, t[i], MathF.FusedMultiplyAdd(B, s[i], A * r[i]));
            }
        }
    }
}

/// <summary>Scratches of <see cref="NewtonSchulz"/>, kept for the next step; one for each shape and for each thread that is at one.</summary>
/// <param name="type">Element type of the products.</param>
internal sealed class NewtonSchulzPool(ScalarType type) : IDisposable
{
    private readonly ConcurrentDictionary<(long Rows, long Columns), ConcurrentBag<NewtonSchulz>> idle = [];

    /// <summary>A scratch of a shape; give it back with <see cref="Return"/>.</summary>
    public NewtonSchulz Rent(long rows, long columns) => idle.TryGetValue((rows, columns), out var bag) && bag.TryTake(out var kept) ? kept : new NewtonSchulz(type, rows, columns);

    /// <summary>Keeps a scratch for the next who needs its shape.</summary>
    public void Return(NewtonSchulz scratch) => idle.GetOrAdd((scratch.Rows, scratch.Columns), _ => []).Add(scratch);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var scratch in idle.Values.SelectMany(bag => bag)) scratch.Dispose();
        idle.Clear();
    }
}
