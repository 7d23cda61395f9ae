using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Perennial.Resilience.Snapshots;

/// <summary>Copies past the caches: what is written is not read again soon, and whoever computes beside keeps the caches.</summary>
internal static unsafe class StreamingCopy
{
    /// <summary>Copies bytes between memories that do not overlap; what was written is seen by others before anything written after it.</summary>
    /// <param name="source">From.</param>
    /// <param name="destination">To.</param>
    /// <param name="bytes">How many.</param>
    public static void Copy(byte* source, byte* destination, long bytes)
    {
        const int Width = 32;
        if (!Avx.IsSupported || bytes < 2 * Width)
        {
            Buffer.MemoryCopy(source, destination, bytes, bytes);
            return;
        }
        // Streaming stores want an aligned target.
        var head = (int)(-(nint)destination & (Width - 1));
        Buffer.MemoryCopy(source, destination, head, head);
        var at = (long)head;
        for (; at + Width <= bytes; at += Width) Avx.StoreAlignedNonTemporal(destination + at, Vector256.Load(source + at));
        Sse.StoreFence();
        Buffer.MemoryCopy(source + at, destination + at, bytes - at, bytes - at);
    }
}
