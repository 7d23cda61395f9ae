using System.IO.Hashing;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Perennial.Data.Text;

/// <summary>Hashes of words, 64 bits: a few cycles for the short words that text is made of.</summary>
internal static class WordHash
{
    private const ulong M0 = 0x9E3779B97F4A7C15, M1 = 0xD6E8FEB86659FD93;

    /// <summary>Hash of a word's bytes as they stand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Of(ReadOnlySpan<byte> word)
    {
        if (word.Length > 16) return XxHash3.HashToUInt64(word);
        ulong low, high = 0;
        ref var first = ref MemoryMarshal.GetReference(word);
        if (word.Length >= 8)
        {
            low = Unsafe.ReadUnaligned<ulong>(ref first);
            high = Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref first, word.Length - 8));
        }
        else if (word.Length >= 4)
            low = Unsafe.ReadUnaligned<uint>(ref first) | (ulong)Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref first, word.Length - 4)) << 32;
        else
        {
            low = 0;
            for (var i = 0; i < word.Length; i++) low = low << 8 | word[i];
        }
        return Mix(low * M0 ^ high * M1 ^ (ulong)word.Length);
    }

    /// <summary>A bijection that spreads every bit over all others (a finalizer of the splitmix kind).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Mix(ulong value)
    {
        value = (value ^ value >> 32) * M1;
        value = (value ^ value >> 32) * M1;
        return value ^ value >> 32;
    }
}
