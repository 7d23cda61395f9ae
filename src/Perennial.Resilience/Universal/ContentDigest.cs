using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Perennial.Resilience.Universal;

/// <summary>
/// A digest of a logical tensor that does not know how the tensor is laid out: two sums modulo 2^64 over elements of a mix of the
/// element's bits with its index in the tensor, and the count of elements (paper 47, part 8). Digests of disjoint parts add up
/// to the digest of the whole, in any order. It finds faults; it does not withstand an adversary.
/// </summary>
/// <param name="A">The first sum.</param>
/// <param name="B">The second, under an independent mix.</param>
/// <param name="Elements">Elements summed.</param>
public readonly record struct ContentDigest(ulong A, ulong B, long Elements)
{
    private const ulong
        IndexA = 0x9E3779B97F4A7C15, OuterA = 0xBF58476D1CE4E5B9, InnerA = 0x94D049BB133111EB,
        IndexB = 0xD1B54A32D192ED03, OuterB = 0xAEF17502108EF2D9, InnerB = 0xF1357AEA2E62A9C5;

    /// <summary>Digests of disjoint parts, put together.</summary>
    public static ContentDigest operator +(ContentDigest left, ContentDigest right) => left.Add(right);

    /// <summary>Digests of disjoint parts, put together.</summary>
    public ContentDigest Add(ContentDigest other) => new(unchecked(A + other.A), unchecked(B + other.B), Elements + other.Elements);

    /// <summary>The digest of consecutive elements.</summary>
    /// <param name="bytes">The elements, little endian.</param>
    /// <param name="elementBytes">Bytes of one: 1, 2, 4 or 8.</param>
    /// <param name="first">Index of the first in its tensor.</param>
    public static ContentDigest Of(ReadOnlySpan<byte> bytes, int elementBytes, long first)
    {
        ulong a = 0, b = 0;
        var at = 0;
        if (Vector256.IsHardwareAccelerated && elementBytes > 1 && bytes.Length >= Vector256<byte>.Count)
        {
            var lanes = new Lanes((ulong)first);
            at = elementBytes switch { 4 => lanes.Take4(bytes), 2 => lanes.Take2(bytes), _ => lanes.Take8(bytes) };
            (a, b) = lanes.Sums;
        }
        for (; at < bytes.Length; at += elementBytes)
        {
            ulong bits = elementBytes switch
            {
                4 => MemoryMarshal.Read<uint>(bytes[at..]),
                2 => MemoryMarshal.Read<ushort>(bytes[at..]),
                8 => MemoryMarshal.Read<ulong>(bytes[at..]),
                _ => bytes[at],
            };
            // Counted from 1, so that a zero at the first place adds something too.
            var index = (ulong)(first + at / elementBytes) + 1;
            a += Mix(bits ^ index * IndexA, OuterA, InnerA);
            b += Mix(bits ^ index * IndexB, OuterB, InnerB);
        }
        return new(a, b, bytes.Length / elementBytes);
    }

    /// <summary>The digest as text: two times 16 hexadecimal digits and the count.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{A:x16}{B:x16}:{Elements}");

    /// <summary>Reads what <see cref="ToString"/> wrote.</summary>
    /// <exception cref="FormatException">It is no digest.</exception>
    public static ContentDigest Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length < 34 || text[32] != ':') throw new FormatException($"'{text}' is no digest");
        return new(ulong.Parse(text.AsSpan(0, 16), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture),
            ulong.Parse(text.AsSpan(16, 16), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture),
            long.Parse(text.AsSpan(33), NumberStyles.None, CultureInfo.InvariantCulture));
    }

    private static ulong Mix(ulong bits, ulong outer, ulong inner)
    {
        bits *= outer;
        bits ^= bits >> 32;
        bits *= inner;
        return bits ^ bits >> 29;
    }

    /// <summary>The same sums, four elements at a time. Each call takes whole vectors and tells how many bytes that were.</summary>
    private ref struct Lanes(ulong first)
    {
        private Vector256<ulong> sumA, sumB;
        private Vector256<ulong> indexA = (Vector256.Create(first + 1) + Vector256<ulong>.Indices) * IndexA;
        private Vector256<ulong> indexB = (Vector256.Create(first + 1) + Vector256<ulong>.Indices) * IndexB;

        public readonly (ulong A, ulong B) Sums => (Vector256.Sum(sumA), Vector256.Sum(sumB));

        public int Take8(ReadOnlySpan<byte> bytes)
        {
            var vectors = MemoryMarshal.Cast<byte, Vector256<ulong>>(bytes);
            foreach (var vector in vectors) Take(vector);
            return vectors.Length * Vector256<byte>.Count;
        }

        public int Take4(ReadOnlySpan<byte> bytes)
        {
            var vectors = MemoryMarshal.Cast<byte, Vector256<uint>>(bytes);
            foreach (var vector in vectors) Take(vector);
            return vectors.Length * Vector256<byte>.Count;
        }

        public int Take2(ReadOnlySpan<byte> bytes)
        {
            var vectors = MemoryMarshal.Cast<byte, Vector256<ushort>>(bytes);
            foreach (var vector in vectors)
            {
                var (low, high) = Vector256.Widen(vector);
                Take(low);
                Take(high);
            }
            return vectors.Length * Vector256<byte>.Count;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Take(Vector256<uint> bits)
        {
            var (low, high) = Vector256.Widen(bits);
            Take(low);
            Take(high);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Take(Vector256<ulong> bits)
        {
            sumA += Mix(bits ^ indexA, Vector256.Create(OuterA), Vector256.Create(InnerA));
            sumB += Mix(bits ^ indexB, Vector256.Create(OuterB), Vector256.Create(InnerB));
            indexA += Vector256.Create(unchecked(4 * IndexA));
            indexB += Vector256.Create(unchecked(4 * IndexB));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<ulong> Mix(Vector256<ulong> bits, Vector256<ulong> outer, Vector256<ulong> inner)
        {
            bits *= outer;
            bits ^= bits >>> 32;
            bits *= inner;
            return bits ^ bits >>> 29;
        }
    }
}
