namespace Perennial.Resilience.Coding;

/// <summary>One way to compute a linear combination of byte ranges over GF(2^8) on this processor.</summary>
public interface ICodeKernel
{
    /// <summary>Instruction set and width, such as <c>gfni-512</c>.</summary>
    string Name { get; }

    /// <summary>
    /// destination = Σ coefficient_s · source_s, or destination ⊕= that sum. Ranges need no alignment; a source may not overlap the destination.
    /// </summary>
    /// <param name="destination">Address of the first byte.</param>
    /// <param name="sources">Addresses of the sources.</param>
    /// <param name="coefficients">One for each source.</param>
    /// <param name="bytes">Length of every range.</param>
    /// <param name="accumulate">Add to what the destination holds.</param>
    /// <param name="streaming">Write past the caches; right for ranges far larger than they are.</param>
    void Combine(nint destination, ReadOnlySpan<nint> sources, ReadOnlySpan<byte> coefficients, long bytes, bool accumulate, bool streaming);
}

/// <summary>The kernels of this build, best first.</summary>
public static class CodeKernels
{
    /// <summary>Those that run on this processor; the last is scalar and always there.</summary>
    public static IReadOnlyList<ICodeKernel> Supported { get; } =
    [
        .. new (bool Supported, Func<ICodeKernel> Make)[]
        {
            (Affine512Lane.IsSupported, () => new LaneKernel<System.Runtime.Intrinsics.Vector512<byte>, System.Runtime.Intrinsics.Vector512<byte>, Affine512Lane>("gfni-512")),
            (Affine256Lane.IsSupported, () => new LaneKernel<System.Runtime.Intrinsics.Vector256<byte>, System.Runtime.Intrinsics.Vector256<byte>, Affine256Lane>("gfni-256")),
            (Shuffle512Lane.IsSupported, () => new LaneKernel<System.Runtime.Intrinsics.Vector512<byte>, NibbleTables<System.Runtime.Intrinsics.Vector512<byte>>, Shuffle512Lane>("shuffle-512")),
            (Shuffle256Lane.IsSupported, () => new LaneKernel<System.Runtime.Intrinsics.Vector256<byte>, NibbleTables<System.Runtime.Intrinsics.Vector256<byte>>, Shuffle256Lane>("shuffle-256")),
            (Shuffle128Lane.IsSupported, () => new LaneKernel<System.Runtime.Intrinsics.Vector128<byte>, NibbleTables<System.Runtime.Intrinsics.Vector128<byte>>, Shuffle128Lane>("shuffle-128")),
            (true, () => new ScalarKernel()),
        }.Where(kernel => kernel.Supported).Select(kernel => kernel.Make()),
    ];

    /// <summary>The fastest of them.</summary>
    public static ICodeKernel Best => Supported[0];
}
