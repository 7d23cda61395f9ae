using System.Collections.Concurrent;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>
/// The quintic Newton-Schulz iteration of Muon (Jordan et al. 2024): X ← aX + (bA + cA²)X with A = XXᵀ and (a, b, c) = (3.4445, −4.7750,
/// 2.0315), which brings every singular value that starts above about 0.005 of the Frobenius norm into 0.68 … 1.2. It is no exact
/// orthogonalization and is not meant to be one.
/// </summary>
/// <remarks>
/// With m the shorter side and n the longer, there are two forms that are one in exact arithmetic. The published one: A and
/// bA + cA² are symmetric, so little more than half of each is computed. By the Gram matrix, for long matrices: with R = XXᵀ and P = aI + bR + cR²
/// an iteration is R ← P·R·P and Q ← P·Q, all m × m, symmetric and commuting, and the result is Q·X. Each precision takes the cheaper; but bfloat16 always
/// the published form, for in the other roundings of R add up.
/// </remarks>
internal sealed class NewtonSchulz : IDisposable
{
    /// <summary>The published coefficients.</summary>
    public const float A = 3.4445f, B = -4.7750f, C = 2.0315f;

    private readonly INewtonSchulzForm form;

    /// <summary>Scratch for one shape.</summary>
    /// <param name="products">What the products are computed in; not <see cref="ProductPrecision.Auto"/>.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="iterations">Iterations, at least one.</param>
    public NewtonSchulz(ProductPrecision products, long rows, long columns, int iterations)
    {
        (Rows, Columns) = (rows, columns);
        form = Choose(products, rows, columns, iterations).Make();
    }

    /// <summary>Rows of the matrix.</summary>
    public long Rows { get; }

    /// <summary>Columns of the matrix.</summary>
    public long Columns { get; }

    /// <summary>
    /// Where the matrix, multiplied by what <see cref="Prepare"/> gave, must be written before <see cref="Iterate"/>: its rows lie
    /// <see cref="Pitch"/> elements apart, the element type is that of the products.
    /// </summary>
    public Tensor Input => form.Input;

    /// <summary>Elements from a row to the next, in input and result.</summary>
    public long Pitch => form.Input.shape[1];

    /// <summary>What elements of the result must be multiplied by.</summary>
    public float ResultScale => form.ResultScale;

    /// <summary>Operations of the products on an m × n matrix.</summary>
    /// <param name="products">What they are computed in.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="iterations">Iterations.</param>
    public static ProductWork Work(ProductPrecision products, long rows, long columns, int iterations) => Choose(products, rows, columns, iterations).Work;

    /// <summary>Makes ready for a matrix.</summary>
    /// <param name="norm">Its Frobenius norm.</param>
    /// <param name="largest">The largest magnitude of its elements.</param>
    /// <returns>The factor that brings the matrix to a norm of at most 1, and to the units of <see cref="Input"/>.</returns>
    public float Prepare(double norm, float largest)
    {
        var inverse = (float)(1 / (norm + 1e-8));
        return inverse * form.Prepare(largest * inverse);
    }

    /// <summary>Iterates on the content of <see cref="Input"/>.</summary>
    /// <returns>The result, <c>[rows, pitch]</c>, to be multiplied by <see cref="ResultScale"/>; lives here until the next call.</returns>
    public Tensor Iterate() => form.Iterate();

    /// <inheritdoc/>
    public void Dispose() => form.Dispose();

    private static (ProductWork Work, Func<INewtonSchulzForm> Make) Choose(ProductPrecision products, long rows, long columns, int iterations)
    {
        if (products == ProductPrecision.Fixed16) return (FixedForm.Work(rows, columns, iterations), () => new FixedForm(rows, columns, iterations));
        var type = products == ProductPrecision.Float32 ? ScalarType.Float32 : ScalarType.BFloat16;
        var (direct, byGram) = (DirectForm.Flops(type, rows, columns, iterations), GramForm.Flops(rows, columns, iterations));
        return type == ScalarType.Float32 && byGram < direct
            ? (new(byGram, Integers: 0), () => new GramForm(rows, columns, iterations))
            : (new(direct, Integers: 0), () => new DirectForm(type, rows, columns, iterations));
    }
}

/// <summary>One way to compute the iteration.</summary>
internal interface INewtonSchulzForm : IDisposable
{
    /// <summary>As <see cref="NewtonSchulz.Input"/>.</summary>
    Tensor Input { get; }

    /// <summary>As <see cref="NewtonSchulz.ResultScale"/>.</summary>
    float ResultScale => 1;

    /// <summary>Units of <see cref="Input"/> in a 1, for a matrix of norm 1 and this largest magnitude.</summary>
    float Prepare(float largest) => 1;

    /// <summary>As <see cref="NewtonSchulz.Iterate"/>.</summary>
    Tensor Iterate();
}

/// <summary>Scratches of <see cref="NewtonSchulz"/>, kept for the next step; one for each shape and for each thread that is at one.</summary>
/// <param name="products">What the products are computed in.</param>
/// <param name="iterations">Iterations.</param>
internal sealed class NewtonSchulzPool(ProductPrecision products, int iterations) : IDisposable
{
    private readonly ConcurrentDictionary<(long Rows, long Columns), ConcurrentBag<NewtonSchulz>> idle = [];

    /// <summary>A scratch of a shape; give it back with <see cref="Return"/>.</summary>
    public NewtonSchulz Rent(long rows, long columns) => idle.TryGetValue((rows, columns), out var bag) && bag.TryTake(out var kept) ? kept : new NewtonSchulz(products, rows, columns, iterations);

    /// <summary>Keeps a scratch for the next who needs its shape.</summary>
    public void Return(NewtonSchulz scratch) => idle.GetOrAdd((scratch.Rows, scratch.Columns), _ => []).Add(scratch);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var scratch in idle.Values.SelectMany(bag => bag)) scratch.Dispose();
        idle.Clear();
    }
}
