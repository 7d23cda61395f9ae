using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

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

    /// <summary>The same sums, four elements at a time, in registers. Each call takes whole vectors and tells how many bytes that were.</summary>
    private ref struct Lanes(ulong first)
    {
        private Vector256<ulong> sumA, sumB;
        private Vector256<ulong> indexA = (Vector256.Create(first + 1) + Vector256<ulong>.Indices) * IndexA;
        private Vector256<ulong> indexB = (Vector256.Create(first + 1) + Vector256<ulong>.Indices) * IndexB;

        public readonly (ulong A, ulong B) Sums => (Vector256.Sum(sumA), Vector256.Sum(sumB));

        public int Take8(ReadOnlySpan<byte> bytes)
        {
            var vectors = MemoryMarshal.Cast<byte, Vector256<ulong>>(bytes);
            var (a, b, atA, atB) = (sumA, sumB, indexA, indexB);
            foreach (var vector in vectors) Take(vector, ref a, ref b, ref atA, ref atB);
            (sumA, sumB, indexA, indexB) = (a, b, atA, atB);
            return vectors.Length * Vector256<byte>.Count;
        }

        public int Take4(ReadOnlySpan<byte> bytes)
        {
            var vectors = MemoryMarshal.Cast<byte, Vector128<uint>>(bytes);
            var (a, b, atA, atB) = (sumA, sumB, indexA, indexB);
            foreach (var vector in vectors) Take(Wide(vector), ref a, ref b, ref atA, ref atB);
            (sumA, sumB, indexA, indexB) = (a, b, atA, atB);
            return vectors.Length * Vector128<byte>.Count;
        }

        public int Take2(ReadOnlySpan<byte> bytes)
        {
            var vectors = MemoryMarshal.Cast<byte, Vector128<ushort>>(bytes);
            var (a, b, atA, atB) = (sumA, sumB, indexA, indexB);
            foreach (var vector in vectors)
            {
                var (low, high) = Vector128.Widen(vector);
                Take(Wide(low), ref a, ref b, ref atA, ref atB);
                Take(Wide(high), ref a, ref b, ref atA, ref atB);
            }
            (sumA, sumB, indexA, indexB) = (a, b, atA, atB);
            return vectors.Length * Vector128<byte>.Count;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<ulong> Wide(Vector128<uint> bits)
        {
            if (Avx2.IsSupported) return Avx2.ConvertToVector256Int64(bits).AsUInt64();
            var (low, high) = Vector128.Widen(bits);
            return Vector256.Create(low, high);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void Take(Vector256<ulong> bits, ref Vector256<ulong> a, ref Vector256<ulong> b, ref Vector256<ulong> atA, ref Vector256<ulong> atB)
        {
            a += Mix(bits ^ atA, OuterA, InnerA);
            b += Mix(bits ^ atB, OuterB, InnerB);
            atA += Vector256.Create(unchecked(4 * IndexA));
            atB += Vector256.Create(unchecked(4 * IndexB));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<ulong> Mix(Vector256<ulong> bits, ulong outer, ulong inner)
        {
            bits = Times(bits, outer);
            bits ^= bits >>> 32;
            bits = Times(bits, inner);
            return bits ^ bits >>> 29;
        }

        /// <summary>The product modulo 2^64. Processors without products of 64 bits have those of 32: three of them, for the fourth lies above.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<ulong> Times(Vector256<ulong> bits, ulong factor)
        {
            if (!Avx2.IsSupported || Avx512DQ.VL.IsSupported) return bits * Vector256.Create(factor);
            var (low, high) = (Vector256.Create((ulong)(uint)factor).AsUInt32(), Vector256.Create(factor >> 32).AsUInt32());
            var crossed = Avx2.Multiply((bits >>> 32).AsUInt32(), low) + Avx2.Multiply(bits.AsUInt32(), high);
            return Avx2.Multiply(bits.AsUInt32(), low) + (crossed << 32);
        }
    }
}
