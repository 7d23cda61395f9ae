using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Perennial.Data.Shards;

/// <summary>
/// Stored tokens (two or four bytes) as ids of eight bytes, eight at a time where the processor can. While a line of 64 bytes is widened, the line
/// at the same place of a stretch that is read later is asked for, so that waiting for memory and work go on together.
/// </summary>
internal static unsafe class TokenWidening
{
    /// <summary>Widens two-byte tokens.</summary>
    /// <param name="source">The tokens.</param>
    /// <param name="destination">Their ids.</param>
    /// <param name="later">What is read later; <paramref name="source"/> itself for nothing.</param>
    public static void Widen(ushort* source, Span<long> destination, ushort* later)
    {
        var i = 0;
        var distance = later - source;
        fixed (long* target = destination)
        {
            if (Avx512F.IsSupported)
            {
                for (; i + 32 <= destination.Length; i += 32)
                {
                    Sse.Prefetch0(source + i + distance);
                    for (var j = i; j < i + 32; j += 8) Avx512F.ConvertToVector512Int64(Vector128.Load(source + j)).Store(target + j);
                }
            }
            else if (Avx2.IsSupported)
            {
                for (; i + 32 <= destination.Length; i += 32)
                {
                    Sse.Prefetch0(source + i + distance);
                    for (var j = i; j < i + 32; j += 4) Avx2.ConvertToVector256Int64(source + j).Store(target + j);
                }
            }
            for (; i < destination.Length; i++) target[i] = source[i];
        }
    }

    /// <summary>Widens four-byte tokens.</summary>
    /// <param name="source">The tokens.</param>
    /// <param name="destination">Their ids.</param>
    /// <param name="later">What is read later; <paramref name="source"/> itself for nothing.</param>
    public static void Widen(uint* source, Span<long> destination, uint* later)
    {
        var i = 0;
        var distance = later - source;
        fixed (long* target = destination)
        {
            if (Avx512F.IsSupported)
            {
                for (; i + 16 <= destination.Length; i += 16)
                {
                    Sse.Prefetch0(source + i + distance);
                    for (var j = i; j < i + 16; j += 8) Avx512F.ConvertToVector512Int64(Vector256.Load(source + j)).Store(target + j);
                }
            }
            else if (Avx2.IsSupported)
            {
                for (; i + 16 <= destination.Length; i += 16)
                {
                    Sse.Prefetch0(source + i + distance);
                    for (var j = i; j < i + 16; j += 4) Avx2.ConvertToVector256Int64(source + j).Store(target + j);
                }
            }
            for (; i < destination.Length; i++) target[i] = source[i];
        }
    }
}
