using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Perennial.Data.Text;

/// <summary>The places of a word's bits, written out.</summary>
internal static class BitPositions
{
    /// <summary>
    /// Writes the place of every bit, lowest first, and returns how many there are. Eight are written at a time, bits or not, so that the processor
    /// need not foretell their number.
    /// </summary>
    /// <param name="bits">The bits.</param>
    /// <param name="offset">Added to every place.</param>
    /// <param name="into">Room for 64 places; what lies behind the last bit's is overwritten too.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Write(ulong bits, int offset, Span<int> into)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(into.Length, 64);
        var count = BitOperations.PopCount(bits);
        ref var at = ref MemoryMarshal.GetReference(into);
        var written = 0;
        do
        {
            for (var i = 0; i < 8; i++)
            {
                Unsafe.Add(ref at, i) = offset + BitOperations.TrailingZeroCount(bits);
                bits &= bits - 1;
            }
            at = ref Unsafe.Add(ref at, 8);
        }
        while ((written += 8) < count);
        return count;
    }
}
