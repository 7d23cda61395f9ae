using System.Runtime.Intrinsics;
using Perennial.Core;

namespace Perennial.Data.Orders;

/// <summary>
/// A keyed pseudorandom permutation of 0 … n − 1 evaluated in O(1): a balanced Feistel network of eight Philox rounds over the
/// next power of four, walked until the value falls inside (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
/// </summary>
public readonly struct Permutation
{
    private const int Rounds = 8, Lanes = 8, Together = 64;
    private readonly long length;
    private readonly int half;
    private readonly uint mask;
    private readonly uint keyLow, keyHigh;
    private readonly uint tweakLow, tweakHigh;

    /// <summary>The permutation of a key.</summary>
    /// <param name="length">n, at least 1.</param>
    /// <param name="seed">Key.</param>
    /// <param name="tweak">Distinguishes permutations of one seed (source, epoch, block).</param>
    public Permutation(long length, ulong seed, ulong tweak)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        this.length = length;
        var bits = Math.Max(2, 64 - System.Numerics.BitOperations.LeadingZeroCount((ulong)(length - 1)));
        half = (bits + 1) / 2;
        mask = (uint)((1UL << half) - 1);
        (keyLow, keyHigh) = ((uint)seed, (uint)(seed >> 32));
        (tweakLow, tweakHigh) = ((uint)tweak, (uint)(tweak >> 32));
    }

    /// <summary>Where <paramref name="index"/> goes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The index is not below n.</exception>
    public long this[long index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, length);
            var value = (ulong)index;
            do value = Encrypt(value);
            while (value >= (ulong)length);
            return (long)value;
        }
    }

    /// <summary>Where <paramref name="first"/>, <paramref name="first"/> + 1 … go: the same values, eight at a time, those that have to be walked on too.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An index is not below n.</exception>
    public void Fill(long first, Span<long> destination)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(first, length - destination.Length);
        for (var done = 0; done < destination.Length; done += Together)
        {
            var part = destination.Slice(done, Math.Min(Together, destination.Length - done));
            for (var i = 0; i < part.Length; i++) part[i] = first + done + i;
            Walk(part);
        }
    }

    private void Walk(Span<long> part)
    {
        Span<long> values = stackalloc long[Together];
        Span<int> places = stackalloc int[Together];
        for (var i = 0; i < part.Length; i++) places[i] = i;
        for (var outside = part.Length; outside > 0;)
        {
            var walked = outside;
            for (var i = 0; i < walked; i++) values[i] = part[places[i]];
            // The last lanes may be of values that are not asked for.
            for (var i = 0; i < walked; i += Lanes) Encrypt(values.Slice(i, Lanes));
            outside = 0;
            for (var i = 0; i < walked; i++)
            {
                part[places[i]] = values[i];
                if ((ulong)values[i] >= (ulong)length) places[outside++] = places[i];
            }
        }
    }

    private ulong Encrypt(ulong value)
    {
        var left = (uint)(value >> half);
        var right = (uint)value & mask;
        for (uint round = 0; round < Rounds; round++)
        {
            var (x, _, _, _) = Philox.Block(right, tweakLow, tweakHigh, ((uint)RandomPurpose.SampleOrder << 8) | round, keyLow, keyHigh);
            (left, right) = (right, (left ^ x) & mask);
        }
        return (ulong)left << half | right;
    }

    private void Encrypt(Span<long> values)
    {
        Span<uint> lefts = stackalloc uint[Lanes], rights = stackalloc uint[Lanes];
        for (var lane = 0; lane < Lanes; lane++) (lefts[lane], rights[lane]) = ((uint)((ulong)values[lane] >> half), (uint)values[lane] & mask);
        var (left, right, cut) = (Vector256.Create<uint>(lefts), Vector256.Create<uint>(rights), Vector256.Create(mask));
        for (uint round = 0; round < Rounds; round++)
        {
            var x = Philox.Block(right, tweakLow, tweakHigh, ((uint)RandomPurpose.SampleOrder << 8) | round, keyLow, keyHigh);
            (left, right) = (right, (left ^ x) & cut);
        }
        left.CopyTo(lefts);
        right.CopyTo(rights);
        for (var lane = 0; lane < Lanes; lane++) values[lane] = (long)((ulong)lefts[lane] << half | rights[lane]);
    }
}
