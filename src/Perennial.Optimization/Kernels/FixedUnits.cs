namespace Perennial.Optimization;

/// <summary>
/// Units of the fixed-point numbers in <see cref="NewtonSchulz"/>. With X of norm at most 1 the iteration bounds every matrix in it:
/// a singular value stays below 1.2023 (where s·P(s²) has its maximum on 0 … 1.2023), so XXᵀ and R below 1.446, P = aI + bR + cR² below 3.4445, P·R below
/// 1.446, and Q after i iterations below 3.4445ⁱ. A row, a column and an element are at most the norm, so neither a number nor a sum of
/// products overflows: 32,767² is a quarter of what 32 bits hold, and a factor of 1.01 is left for roundings.
/// </summary>
internal static class FixedUnits
{
    private const float Most = short.MaxValue / 1.01f;

    /// <summary>Units in a 1 of X.</summary>
    public const float Values = Most / 1.2023f;

    /// <summary>Of XXᵀ, R and P·R.</summary>
    public const float Gram = Most / 1.446f;

    /// <summary>Of P.</summary>
    public const float Polynomial = Most / NewtonSchulz.A;

    /// <summary>Of Q after some iterations.</summary>
    public static float Product(int iterations) => Most / MathF.Pow(NewtonSchulz.A, iterations);

    /// <summary>Of the first X, whose norm is at most 1: small elements get small units.</summary>
    /// <param name="largest">Largest magnitude of its elements.</param>
    /// <param name="longest">Elements of its longest row or column, whose norm no sum may exceed.</param>
    public static float Input(float largest, long longest)
    {
        // 46,300² is just below 2³¹.
        var norm = Math.Min(1, largest * MathF.Sqrt(longest));
        return norm > 0 ? Math.Min(Most / largest, 46_300 / 1.01f / norm) : 1;
    }
}
