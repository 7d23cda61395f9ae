using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Perennial.Data.Shards;

/// <summary>Stored tokens (two or four bytes) as ids of eight bytes, eight at a time where the processor can.</summary>
internal static unsafe class TokenWidening
{
    /// <summary>Widens two-byte tokens.</summary>
    public static void Widen(ushort* source, Span<long> destination)
    {
        var i = 0;
        fixed (long* target = destination)
        {
            if (Avx512F.IsSupported)
                for (; i + 8 <= destination.Length; i += 8) Avx512F.ConvertToVector512Int64(Vector128.Load(source + i)).Store(target + i);
            else if (Avx2.IsSupported)
                for (; i + 8 <= destination.Length; i += 8)
                {
                    Avx2.ConvertToVector256Int64(Vector128.Load(source + i)).Store(target + i);
                    Avx2.ConvertToVector256Int64(Vector128.CreateScalar(*(ulong*)(source + i + 4)).AsUInt16()).Store(target + i + 4);
                }
            for (; i < destination.Length; i++) target[i] = source[i];
        }
    }

    /// <summary>Widens four-byte tokens.</summary>
    public static void Widen(uint* source, Span<long> destination)
    {
        var i = 0;
        fixed (long* target = destination)
        {
            if (Avx512F.IsSupported)
                for (; i + 8 <= destination.Length; i += 8) Avx512F.ConvertToVector512Int64(Vector256.Load(source + i)).Store(target + i);
            else if (Avx2.IsSupported)
                for (; i + 4 <= destination.Length; i += 4) Avx2.ConvertToVector256Int64(Vector128.Load(source + i)).Store(target + i);
            for (; i < destination.Length; i++) target[i] = source[i];
        }
    }
}
