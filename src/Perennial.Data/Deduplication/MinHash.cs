using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Perennial.Core;

namespace Perennial.Data.Deduplication;

/// <summary>
/// MinHash signatures (Broder, 1997): for each of many hash functions the least value over a text's shingles. The functions are 32-bit
/// multiply-xorshift mixes with Philox constants; a Jaccard similarity is the share of equal components, with standard deviation √(s(1−s)/k).
/// </summary>
public sealed class MinHash
{
    private const int Lanes = 16;
    private const uint Mix = 0x846CA68B;

    private readonly uint[] multipliers, offsets;

    /// <summary>Makes hash functions.</summary>
    /// <param name="permutations">How many; signatures have this length.</param>
    /// <param name="seed">Key of their constants.</param>
    public MinHash(int permutations, ulong seed = 0)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(permutations, 1);
        Permutations = permutations;
        var padded = (permutations + Lanes - 1) / Lanes * Lanes;
        (multipliers, offsets) = (new uint[padded], new uint[padded]);
        for (var i = 0; i < padded; i++)
        {
            var bits = Philox.Bits(seed, RandomPurpose.Corruption, 0x3149, (ulong)i);
            // An odd multiplier makes the function a bijection: different shingles never collide.
            (multipliers[i], offsets[i]) = ((uint)bits | 1, (uint)(bits >> 32));
        }
    }

    /// <summary>Length of a signature.</summary>
    public int Permutations { get; }

    /// <summary>The signature of a set of shingles (repeats make no difference).</summary>
    /// <param name="shingles">Hashes of shingles.</param>
    /// <param name="signature">Takes <see cref="Permutations"/> values; all ones for no shingles.</param>
    public void Sign(ReadOnlySpan<uint> shingles, Span<uint> signature)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(signature.Length, Permutations);
        Span<uint> lanes = stackalloc uint[2 * Lanes];
        ref var a = ref MemoryMarshal.GetArrayDataReference(multipliers);
        ref var b = ref MemoryMarshal.GetArrayDataReference(offsets);
        var mix = Vector512.Create(Mix);
        for (var from = 0; from < Permutations; from += 2 * Lanes)
        {
            // Two vectors at a time hide the multiplications' latency; the shingles stream from the first-level cache.
            var second = from + Lanes < multipliers.Length ? from + Lanes : from;
            var (a0, a1) = (Vector512.LoadUnsafe(ref a, (nuint)from), Vector512.LoadUnsafe(ref a, (nuint)second));
            var (b0, b1) = (Vector512.LoadUnsafe(ref b, (nuint)from), Vector512.LoadUnsafe(ref b, (nuint)second));
            var (least0, least1) = (Vector512<uint>.AllBitsSet, Vector512<uint>.AllBitsSet);
            foreach (var shingle in shingles)
            {
                var value = Vector512.Create(shingle);
                var h0 = (value ^ b0) * a0;
                var h1 = (value ^ b1) * a1;
                h0 = (h0 ^ h0 >>> 15) * mix;
                h1 = (h1 ^ h1 >>> 15) * mix;
                least0 = Vector512.Min(least0, h0);
                least1 = Vector512.Min(least1, h1);
            }
            least0.StoreUnsafe(ref lanes[0]);
            least1.StoreUnsafe(ref lanes[Lanes]);
            lanes[..Math.Min(2 * Lanes, Permutations - from)].CopyTo(signature[from..]);
        }
    }
}
