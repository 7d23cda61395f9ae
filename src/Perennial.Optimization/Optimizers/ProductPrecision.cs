using System.Runtime.Intrinsics.X86;

namespace Perennial.Optimization;

/// <summary>What an optimizer's matrix products are computed in.</summary>
public enum ProductPrecision
{
    /// <summary>The fastest that has 16 bits at least: bfloat16 or fixed16 where the processor is fast at it, float32 elsewhere; the choice is written into the run folder.</summary>
    Auto,

    /// <summary>bfloat16; computed in float32 where the processor has no bfloat16 products.</summary>
    Bfloat16,

    /// <summary>16-bit integers, summed exactly: the same bits on every processor. Numbers that the method bounds have units of their bound over 2¹⁵.</summary>
    Fixed16,

    /// <summary>float32.</summary>
    Float32,
}

/// <summary>Choice of a <see cref="ProductPrecision"/>.</summary>
internal static class ProductPrecisions
{
    /// <summary>What <see cref="ProductPrecision.Auto"/> is on this machine.</summary>
    /// <param name="hasNativeBfloat16">Whether the processor has bfloat16 products.</param>
    public static ProductPrecision Fastest(bool hasNativeBfloat16) =>
        hasNativeBfloat16 ? ProductPrecision.Bfloat16 : Avx2.IsSupported ? ProductPrecision.Fixed16 : ProductPrecision.Float32;
}

/// <summary>Operations of matrix products; a multiplication and an addition are two.</summary>
/// <param name="Floats">In floating point.</param>
/// <param name="Integers">Of 16-bit integers.</param>
internal readonly record struct ProductWork(double Floats, double Integers);
