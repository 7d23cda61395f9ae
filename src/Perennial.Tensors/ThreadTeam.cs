using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Perennial.Tensors;

/// <summary>
/// Runs vectorized passes on libtorch's own threads. libtorch's OpenMP workers spin for a while after every operator; a
/// second pool of threads beside them would fight them for the cores. So where libtorch is built on GNU OpenMP a pass
/// enters the same team through <c>GOMP_parallel</c>; elsewhere .NET's pool serves.
/// </summary>
public static unsafe class ThreadTeam
{
    private static readonly delegate* unmanaged[Cdecl]<delegate* unmanaged[Cdecl]<nint, void>, nint, uint, uint, void> Enter = FindOpenMp();

    /// <summary>
    /// Calls <paramref name="body"/> for 0 … <paramref name="count"/> − 1, in any order, on libtorch's number of threads.
    /// Every index is one unit of work whose result must not depend on the others, so results do not depend on threads.
    /// </summary>
    /// <exception cref="Exception">The first exception that a body threw.</exception>
    public static void For(int count, Action<int> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        var threads = Math.Min(count, TorchSharp.torch.get_num_threads());
        if (threads <= 1)
        {
            for (var index = 0; index < count; index++) body(index);
            return;
        }
        if (Enter is null)
        {
            Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = threads }, body);
            return;
        }
        var job = new Job(count, body);
        var handle = GCHandle.Alloc(job);
        try
        {
            Enter(&Work, GCHandle.ToIntPtr(handle), (uint)threads, 0);
        }
        finally
        {
            handle.Free();
        }
        job.Failure?.Throw();
    }

    /// <summary>Like <see cref="For"/> over ranges: rows 0 … <paramref name="rows"/> − 1 in pieces of <paramref name="piece"/>; the body gets first and past-last row.</summary>
    public static void ForRows(long rows, int piece, Action<long, long> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        For(checked((int)((rows + piece - 1) / piece)), index => body(index * (long)piece, Math.Min(rows, (index + 1L) * piece)));
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Work(nint handle) => ((Job)GCHandle.FromIntPtr(handle).Target!).Run();

    private static delegate* unmanaged[Cdecl]<delegate* unmanaged[Cdecl]<nint, void>, nint, uint, uint, void> FindOpenMp()
    {
        if (!OperatingSystem.IsLinux()) return null;
        TorchSharp.torch.InitializeDeviceType(TorchSharp.DeviceType.CPU);
        // Looking a symbol up in a library also searches what it was linked with.
        if (!NativeLibrary.TryLoad("torch_cpu", typeof(TorchSharp.torch).Assembly, null, out var library)) return null;
        return NativeLibrary.TryGetExport(library, "GOMP_parallel", out var address)
            ? (delegate* unmanaged[Cdecl]<delegate* unmanaged[Cdecl]<nint, void>, nint, uint, uint, void>)address
            : null;
    }

    private sealed class Job(int count, Action<int> body)
    {
        private int next = -1;

        public ExceptionDispatchInfo? Failure { get; private set; }

        public void Run()
        {
            try
            {
                for (int index; (index = Interlocked.Increment(ref next)) < count;) body(index);
            }
            catch (Exception thrown)
            {
                // An exception must not leave through native frames.
                Failure ??= ExceptionDispatchInfo.Capture(thrown);
            }
        }
    }
}
