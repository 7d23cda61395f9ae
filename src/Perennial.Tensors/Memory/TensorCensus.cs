using System.Runtime.InteropServices;
using TorchSharp;

namespace Perennial.Tensors;

/// <summary>How many tensors live, and how much native memory is in use: the leak detector.</summary>
/// <param name="Tensors">Live tensors that this thread made.</param>
/// <param name="NativeBytes">Bytes handed out by the C library's allocator in the whole process; null where it does not tell. Sees what libtorch holds without a handle in .NET.</param>
public readonly partial record struct TensorCensus(long Tensors, long? NativeBytes)
{
    /// <summary>Live tensors that this thread made. Counts of other threads do not disturb it.</summary>
    public static long LiveOnThisThread => DisposeScopeManager.Statistics.TensorStatistics.ThreadTotalLiveCount;

    /// <summary>Counts now.</summary>
    public static TensorCensus Take() => new(LiveOnThisThread, BytesInUse());

    /// <summary>Runs an action twice to warm caches, then again and again, and demands that no tensor is left behind.</summary>
    /// <param name="action">One step; runs on this thread.</param>
    /// <param name="repetitions">Counted runs, at least 1.</param>
    /// <exception cref="InvalidOperationException">More tensors live after the runs than before.</exception>
    public static void AssertNoGrowth(Action action, int repetitions)
    {
        ArgumentNullException.ThrowIfNull(action);
        ArgumentOutOfRangeException.ThrowIfLessThan(repetitions, 1);
        action();
        action();
        var before = LiveOnThisThread;
        for (var i = 0; i < repetitions; i++) action();
        var grown = LiveOnThisThread - before;
        if (grown > 0) throw new InvalidOperationException($"{grown} tensors were left behind in {repetitions} repetitions ({(double)grown / repetitions:0.##} in each)");
    }

    /// <summary>
    /// As <see cref="AssertNoGrowth"/>, and demands that native memory does not grow either, save what the garbage collector still gives
    /// back. Only meaningful while nothing else computes.
    /// </summary>
    /// <param name="action">One step; runs on this thread.</param>
    /// <param name="repetitions">Counted runs, at least 1.</param>
    /// <param name="allowance">Bytes of growth that are forgiven: caches that fill late, code that is compiled meanwhile. A few MiB.</param>
    /// <exception cref="InvalidOperationException">More tensors live, or more native memory is in use, after the runs than before.</exception>
    public static void AssertNoNativeGrowth(Action action, int repetitions, long allowance)
    {
        ArgumentNullException.ThrowIfNull(action);
        // The just-in-time compiler takes memory of its own now and then; a leak grows in every round.
        const int Rounds = 3;
        for (var round = 1; round <= Rounds; round++)
        {
            var before = SettledBytesInUse();
            AssertNoGrowth(action, repetitions);
            if (SettledBytesInUse() - before is not { } grown || grown <= allowance) return;
            if (round == Rounds) throw new InvalidOperationException($"{grown} bytes of native memory were left behind in {repetitions} repetitions");
        }
    }

    private static long? SettledBytesInUse()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return BytesInUse();
    }

    private static long? BytesInUse()
    {
        if (!OperatingSystem.IsLinux()) return null;
        try
        {
            var info = Mallinfo2();
            return (long)(info.InUse + info.Mapped);
        }
        catch (EntryPointNotFoundException)
        {
            return null; // musl, or glibc before 2.33
        }
    }

    [LibraryImport("libc", EntryPoint = "mallinfo2")]
    private static partial MallocInformation Mallinfo2();

    // struct mallinfo2 of malloc.h: ten size_t.
    private readonly struct MallocInformation
    {
#pragma warning disable CS0649, CS0169, IDE0044, IDE0051 // filled by the C library; fields in its order
        private readonly nuint arena, freeChunks, fastChunks, mappedBlocks;
        internal readonly nuint Mapped;
        private readonly nuint unused, freeFast;
        internal readonly nuint InUse;
        private readonly nuint free, top;
#pragma warning restore CS0649, CS0169, IDE0044, IDE0051
    }
}
