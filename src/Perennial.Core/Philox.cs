using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Perennial.Core;

/// <summary>What a random draw is for. The value is part of the generator's key: never renumber.</summary>
public enum RandomPurpose : uint
{
    /// <summary>Initial weights; the item is the parameter's index.</summary>
    Initialization = 1,

    /// <summary>The order of samples.</summary>
    SampleOrder = 2,

    /// <summary>Which source of a mixture the next sample comes from.</summary>
    Mixture = 3,

    /// <summary>Dropout masks; the item is the sample id.</summary>
    Dropout = 4,

    /// <summary>Text generation.</summary>
    Generation = 5,

    /// <summary>Corruption of text by data operators; the item is the document's index.</summary>
    Corruption = 6,

    /// <summary>Draws of a practice; the item is the step.</summary>
    Practice = 7,

    /// <summary>Statistics (bootstrap).</summary>
    Statistics = 8,

    /// <summary>Faults made on purpose.</summary>
    Chaos = 9,
}

/// <summary>
/// Philox 4x32-10, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11):
/// a draw is a pure function of (key, counter), so it can be recomputed anywhere in any order.
/// </summary>
public static class Philox
{
    private const uint M0 = 0xD2511F53, M1 = 0xCD9E8D57, W0 = 0x9E3779B9, W1 = 0xBB67AE85;

    /// <summary>Ten rounds over one 128-bit counter under a 64-bit key.</summary>
    public static (uint X0, uint X1, uint X2, uint X3) Block(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1)
    {
        for (var round = 0; round < 10; round++)
        {
            var p0 = (ulong)M0 * c0;
            var p1 = (ulong)M1 * c2;
            (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
            k0 += W0;
            k1 += W1;
        }
        return (c0, c1, c2, c3);
    }

    /// <summary>The first word of eight blocks that differ in their first counter alone.</summary>
    public static Vector256<uint> Block(Vector256<uint> c0, uint c1, uint c2, uint c3, uint k0, uint k1)
    {
        var (m0, m1) = (Vector256.Create((ulong)M0), Vector256.Create((ulong)M1));
        var (second, third, fourth) = (Vector256.Create(c1), Vector256.Create(c2), Vector256.Create(c3));
        for (var round = 0; round < 10; round++)
        {
            var (high0, low0) = Product(c0, m0);
            var (high1, low1) = Product(third, m1);
            (c0, second, third, fourth) = (high1 ^ second ^ Vector256.Create(k0), low1, high0 ^ fourth ^ Vector256.Create(k1), low0);
            k0 += W0;
            k1 += W1;
        }
        return c0;
    }

    // Upper and lower halves of the products of eight words with one constant, by 32-bit multiplications of even and odd lanes.
    private static (Vector256<uint> High, Vector256<uint> Low) Product(Vector256<uint> words, Vector256<ulong> constant)
    {
        Vector256<ulong> even, odd;
        if (Avx2.IsSupported) (even, odd) = (Avx2.Multiply(words, constant.AsUInt32()), Avx2.Multiply((words.AsUInt64() >> 32).AsUInt32(), constant.AsUInt32()));
        else (even, odd) = ((words.AsUInt64() & Vector256.Create(0xFFFFFFFFUL)) * constant, (words.AsUInt64() >> 32) * constant);
        var upper = Vector256.Create(0xFFFFFFFF00000000UL);
        return (((even >> 32) | (odd & upper)).AsUInt32(), ((even & ~upper) | (odd << 32)).AsUInt32());
    }

    /// <summary>64 random bits for (seed, purpose, item, index). Items and indices below 2^48 never collide.</summary>
    public static ulong Bits(ulong seed, RandomPurpose purpose, ulong item, ulong index)
    {
        // The purpose sits in the counter's high word beside the index's high bits, so that key = seed alone.
        var (x0, x1, _, _) = Block((uint)index, (uint)item, (uint)(item >> 32) << 16 | (ushort)(index >> 32), (uint)purpose, (uint)seed, (uint)(seed >> 32));
        return (ulong)x1 << 32 | x0;
    }

    /// <summary>A uniform double in [0, 1) with 53 random bits.</summary>
    public static double Uniform(ulong seed, RandomPurpose purpose, ulong item, ulong index) =>
        (Bits(seed, purpose, item, index) >> 11) * (1.0 / (1UL << 53));

    /// <summary>
    /// Fills with standard normal draws (Box-Muller, four a block); element i depends only on (seed, purpose, item, i / 4).
    /// </summary>
    public static void FillNormal(Span<float> destination, ulong seed, RandomPurpose purpose, ulong item)
    {
        for (var i = 0; i < destination.Length; i += 4)
        {
            var index = (ulong)(i / 4);
            var (x0, x1, x2, x3) = Block((uint)index, (uint)item, (uint)(item >> 32) << 16 | (ushort)(index >> 32), (uint)purpose, (uint)seed, (uint)(seed >> 32));
            var (a, b) = Normals(x0, x1);
            var (c, d) = Normals(x2, x3);
            destination[i] = a;
            if (i + 1 < destination.Length) destination[i + 1] = b;
            if (i + 2 < destination.Length) destination[i + 2] = c;
            if (i + 3 < destination.Length) destination[i + 3] = d;
        }

        static (float, float) Normals(uint x, uint y)
        {
            // (x + 0.5) / 2^32 is in (0, 1): the logarithm is finite.
            var radius = Math.Sqrt(-2 * Math.Log((x + 0.5) / 4294967296.0));
            var (sine, cosine) = Math.SinCos(2 * Math.PI * ((y + 0.5) / 4294967296.0));
            return ((float)(radius * cosine), (float)(radius * sine));
        }
    }
}
