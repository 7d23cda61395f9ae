using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Perennial.Data.Shards;

/// <summary>
/// Stored tokens (two or four bytes) as ids of eight bytes, eight at a time where the processor can. While a line of 64 bytes is widened, the line
/// at the same place of a stretch that is read later is asked for, so that waiting for memory and work go on together.
/// </summary>
internal static unsafe class TokenWidening
{
    private const int Line = 64;

    /// <summary>Widens tokens.</summary>
    /// <typeparam name="T"><see cref="ushort"/> or <see cref="uint"/>.</typeparam>
    /// <param name="source">The tokens.</param>
    /// <param name="destination">Their ids.</param>
    /// <param name="later">What is read later; <paramref name="source"/> itself for nothing.</param>
    public static void Widen<T>(T* source, Span<long> destination, T* later)
        where T : unmanaged
    {
        var i = 0;
        var step = Line / sizeof(T);
        var distance = later - source;
        fixed (long* target = destination)
        {
            if (Avx512F.IsSupported)
            {
                for (; i + step <= destination.Length; i += step)
                {
                    Sse.Prefetch0(source + i + distance);
                    for (var j = i; j < i + step; j += 8) Eight(source + j).Store(target + j);
                }
            }
            else if (Avx2.IsSupported)
            {
                for (; i + step <= destination.Length; i += step)
                {
                    Sse.Prefetch0(source + i + distance);
                    // Written out: a loop's own counting would take as long as the work.
                    Sixteen(source + i, target + i);
                    if (sizeof(T) == sizeof(ushort)) Sixteen(source + i + 16, target + i + 16);
                }
            }
            for (; i < destination.Length; i++) target[i] = sizeof(T) == sizeof(ushort) ? ((ushort*)source)[i] : ((uint*)source)[i];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<long> Eight<T>(T* source)
        where T : unmanaged => sizeof(T) == sizeof(ushort) ? Avx512F.ConvertToVector512Int64(Vector128.Load((ushort*)source)) : Avx512F.ConvertToVector512Int64(Vector256.Load((uint*)source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Sixteen<T>(T* source, long* target)
        where T : unmanaged
    {
        Four(source).Store(target);
        Four(source + 4).Store(target + 4);
        Four(source + 8).Store(target + 8);
        Four(source + 12).Store(target + 12);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<long> Four<T>(T* source)
        where T : unmanaged => sizeof(T) == sizeof(ushort) ? Avx2.ConvertToVector256Int64((ushort*)source) : Avx2.ConvertToVector256Int64((uint*)source);
}
