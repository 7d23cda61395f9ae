using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using System.Text;
using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Groups;

/// <summary>
/// A group of GPUs, one a rank, over NCCL. Addresses are device memory. Every call is enqueued on the communicator's own stream and awaited by
/// polling, so that a timeout or an abort can end it; the caller makes sure that the data is ready (its own stream synchronized) before.
/// NCCL has no tags: one call at a time, in the same order on all ranks. A group whose call failed is kept for <see cref="Shrink"/>; peers that
/// wait for this rank fail once it is aborted, shrunk or disposed.
/// </summary>
public sealed unsafe class NcclCommunicator : ICommunicator
{
    private const int Success = 0, SystemError = 2, RemoteError = 6, InProgress = 7, NotReady = 600;
    private readonly NcclLibrary nccl;
    private readonly IKeyValueStore store;
    private readonly GroupSettings settings;
    private readonly int device;
    private readonly object calls = new();
    private readonly ChildGroups children = new();
    private readonly nint stream;
    private readonly nint scratch;
    private nint handle;
    private int splits;
    private volatile string? aborted;
    private volatile bool shrinking;
    private bool disposed;

    private NcclCommunicator(NcclLibrary nccl, IKeyValueStore store, GroupSettings settings, int device)
    {
        (this.nccl, this.store, this.settings, this.device) = (nccl, store, settings, device);
        nint made, memory;
        CheckCuda(nccl.SetDevice(device), "choosing the GPU");
        CheckCuda(nccl.StreamCreate(&made, 1), "making a stream");
        CheckCuda(nccl.Allocate(&memory, sizeof(long), made), "allocating on the GPU");
        (stream, scratch) = (made, memory);
    }

    /// <inheritdoc/>
    public int Rank => settings.Rank;

    /// <inheritdoc/>
    public int Size => settings.Size;

    /// <inheritdoc/>
    public long Epoch => settings.Epoch;

    /// <summary>Joins a group; rank 0 publishes NCCL's unique id under <c>{settings.Name}nccl</c>.</summary>
    /// <param name="store">Where the ranks find each other.</param>
    /// <param name="settings">The group; NCCL finds the network by itself, and keeps to loopback where the address is one of it.</param>
    /// <param name="device">The index of this process's GPU.</param>
    /// <param name="cancellation">Ends the wait for the peers.</param>
    /// <exception cref="CommunicatorException">Not every rank came in time, or NCCL failed.</exception>
    /// <exception cref="Perennial.Core.PerennialException">Exit 4: NCCL or the CUDA runtime is not installed.</exception>
    public static NcclCommunicator Create(IKeyValueStore store, GroupSettings settings, int device, CancellationToken cancellation = default)
    {
        settings.Validate();
        if (settings.Address is "localhost" || (IPAddress.TryParse(settings.Address, out var address) && IPAddress.IsLoopback(address))) NcclLibrary.StayOnLoopback();
        var group = new NcclCommunicator(NcclLibrary.Load(), store, settings, device);
        try
        {
            var options = new CallOptions(Timeout: settings.CreateTimeout, Cancellation: cancellation);
            var key = settings.Name + "nccl";
            if (settings.Rank == 0)
            {
                NcclUniqueId fresh;
                group.CheckNccl(group.nccl.GetUniqueId(&fresh), "forming a group");
                store.Set(key, new ReadOnlySpan<byte>(&fresh, NcclUniqueId.Length));
            }
            var id = MemoryMarshal.Read<NcclUniqueId>(group.Await(key, 0, options));
            var made = NewHandle();
            group.Run("forming a group", options, () =>
            {
                var config = NcclConfig.NonBlocking;
                var code = group.nccl.InitRankConfig(made, settings.Size, id, settings.Rank, &config);
                group.handle = *made;
                return code;
            });
            NativeMemory.Free(made);
            return group;
        }
        catch
        {
            group.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void AllReduce(nint data, long count, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default)
    {
        OnGpu(data, count, nameof(data));
        var operation = Operation(type, reduction);
        Run("all-reduce", options, () => nccl.AllReduce(data, data, (nuint)count, Type(type), operation, handle, stream));
    }

    /// <inheritdoc/>
    public void ReduceScatter(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default)
    {
        Arguments.Counts(this, counts);
        OnGpu(source, Arguments.Total(counts), nameof(source));
        OnGpu(destination, counts[Rank], nameof(destination));
        var (sizes, operation) = (counts.ToArray(), Operation(type, reduction));
        Run("reduce-scatter", options, () => Each(sizes, type, (rank, offset) =>
            nccl.Reduce((nint)(source + offset), destination, (nuint)sizes[rank], Type(type), operation, rank, handle, stream)));
    }

    /// <inheritdoc/>
    public void AllGather(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, CallOptions options = default)
    {
        Arguments.Counts(this, counts);
        OnGpu(source, counts[Rank], nameof(source));
        OnGpu(destination, Arguments.Total(counts), nameof(destination));
        var sizes = counts.ToArray();
        Run("all-gather", options, () => Each(sizes, type, (rank, offset) =>
            nccl.Broadcast(rank == Rank ? source : (nint)(destination + offset), (nint)(destination + offset), (nuint)sizes[rank], Type(type), rank, handle, stream)));
    }

    /// <inheritdoc/>
    public void Broadcast(nint data, long count, ElementType type, int root, CallOptions options = default)
    {
        Arguments.Root(this, root);
        OnGpu(data, count, nameof(data));
        Run("broadcast", options, () => nccl.Broadcast(data, data, (nuint)count, Type(type), root, handle, stream));
    }

    /// <inheritdoc/>
    public void Send(nint data, long count, ElementType type, int to, CallOptions options = default)
    {
        Arguments.Peer(this, to);
        OnGpu(data, count, nameof(data));
        Run("send", options, () => nccl.Send(data, (nuint)count, Type(type), to, handle, stream));
    }

    /// <inheritdoc/>
    public void Receive(nint data, long count, ElementType type, int from, CallOptions options = default)
    {
        Arguments.Peer(this, from);
        OnGpu(data, count, nameof(data));
        Run("receive", options, () => nccl.Receive(data, (nuint)count, Type(type), from, handle, stream));
    }

    /// <inheritdoc/>
    public void Barrier(CallOptions options = default) => AllReduce(scratch, 1, ElementType.Int64, Reduction.Max, options);

    /// <inheritdoc/>
    public ICommunicator? Split(int color, int key, CallOptions options = default)
    {
        var name = $"{settings.Name}split{Interlocked.Increment(ref splits)}/";
        store.Set($"{name}{Rank}", Encoding.ASCII.GetBytes($"{color} {key}"));
        var all = new long[2 * Size];
        for (var rank = 0; rank < Size; rank++)
        {
            var words = Encoding.ASCII.GetString(Await($"{name}{rank}", rank, options)).Split(' ');
            (all[2 * rank], all[2 * rank + 1]) = (long.Parse(words[0], CultureInfo.InvariantCulture), long.Parse(words[1], CultureInfo.InvariantCulture));
        }
        var members = Splitting.Members(all, color);
        var made = NewHandle();
        Run("split", options, () =>
        {
            var config = NcclConfig.NonBlocking;
            return Ongoing(nccl.Split(handle, color < 0 ? -1 : color, key, made, &config));
        });
        if (color < 0)
        {
            NativeMemory.Free(made);
            return null;
        }
        return children.Add(Adopt(made, settings with { Name = $"{name}{color}/", Rank = Array.IndexOf(members, Rank), Size = members.Length }, "split", options));
    }

    /// <summary>
    /// The group without some ranks: all ranks that stay call it with the same list, also while a call is in flight on another thread, which ends as
    /// aborted, or after one failed. NCCL 2.27 and newer takes the ranks out of the living group (<see cref="NcclLibrary.CanShrink"/>) unless a rank's
    /// links have failed, which it refuses to build on; then the ranks form a group anew. This communicator is broken afterwards.
    /// </summary>
    /// <param name="lost">The ranks to leave out.</param>
    /// <param name="epoch">The epoch of the new group.</param>
    /// <param name="options">Timeout and cancellation.</param>
    /// <exception cref="CommunicatorException">A rank that stays did not come in time, or NCCL failed.</exception>
    public NcclCommunicator Shrink(IReadOnlyCollection<int> lost, long epoch, CallOptions options = default)
    {
        var ranks = lost.Order().ToArray();
        var staying = Enumerable.Range(0, Size).Except(ranks).ToArray();
        var next = settings with { Name = $"{settings.Name}shrunk{epoch}/", Rank = Array.IndexOf(staying, Rank), Size = staying.Length, Epoch = epoch };
        // Whoever is in a call leaves it and the lock, and the group is kept.
        shrinking = true;
        aborted ??= "shrunk";
        children.Abort("shrunk");
        try
        {
            lock (calls)
            {
                int fault;
                var whole = nccl.CanShrink && handle != 0 && nccl.GetAsyncError(handle, &fault) == Success && fault is Success or InProgress;
                // Either way only works if everyone takes it.
                store.Set($"{next.Name}{Rank}", [whole ? (byte)1 : (byte)0]);
                foreach (var peer in staying) whole &= Await($"{next.Name}{peer}", peer, options)[0] == 1;
                if (whole) return InPlace(ranks, next, options);
            }
        }
        finally
        {
            shrinking = false;
            Abort("shrunk");
        }
        return Create(store, next, device, options.Cancellation);
    }

    private NcclCommunicator InPlace(int[] lost, GroupSettings next, CallOptions options)
    {
        var made = NewHandle();
        Poll("shrink", options, () =>
        {
            const int abortPending = 1;
            var config = NcclConfig.NonBlocking;
            fixed (int* first = lost) return Ongoing(nccl.Shrink(handle, first, lost.Length, made, &config, abortPending));
        }, evenAborted: true);
        return Adopt(made, next, "shrink", options);
    }

    /// <inheritdoc/>
    public void Abort(string reason)
    {
        children.Abort(reason);
        aborted ??= reason;
        // A call in flight sees the reason while it polls, and breaks the group itself: NCCL frees the group when it aborts it.
        if (!Monitor.TryEnter(calls)) return;
        try
        {
            Break();
        }
        finally
        {
            Monitor.Exit(calls);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        children.Dispose();
        aborted ??= "disposed";
        lock (calls)
        {
            if (disposed) return;
            disposed = true;
            Break();
            nccl.SetDevice(device);
            nccl.Release(scratch, stream);
            nccl.StreamDestroy(stream);
        }
    }

    /// <summary>NCCL's number of an element type.</summary>
    internal static int Type(ElementType type) => type switch
    {
        ElementType.UInt8 => 1,
        ElementType.Int64 => 4,
        ElementType.Float32 => 7,
        ElementType.Float64 => 8,
        _ => 9,
    };

    /// <summary>NCCL's number of a reduction.</summary>
    /// <exception cref="ArgumentException">NCCL has no such reduction.</exception>
    internal static int Operation(ElementType type, Reduction reduction)
    {
        Arguments.Reduces(type, reduction);
        return reduction switch
        {
            Reduction.Sum => 0,
            Reduction.Max => 2,
            Reduction.Min => 3,
            _ => throw new ArgumentException("NCCL has no exclusive or", nameof(reduction)),
        };
    }

    private int Each(long[] counts, ElementType type, Func<int, long, int> one)
    {
        var code = nccl.GroupStart();
        var offset = 0L;
        for (var rank = 0; rank < counts.Length; rank++)
        {
            if (code is Success or InProgress) code = one(rank, offset);
            offset += counts[rank] * type.Size();
        }
        var end = nccl.GroupEnd();
        return code is Success or InProgress ? end : code;
    }

    private byte[] Await(string key, int peer, CallOptions options)
    {
        var patience = options.Timeout ?? settings.Timeout;
        try
        {
            return store.Wait(key, patience, options.Cancellation);
        }
        catch (TimeoutException error)
        {
            throw new CommunicatorException(CommunicatorFailure.TimedOut, "forming a group", Epoch, peer, null, error.Message, error);
        }
        catch (OperationCanceledException error)
        {
            throw new CommunicatorException(CommunicatorFailure.Aborted, "forming a group", Epoch, null, null, "cancelled", error);
        }
    }

    // The place where NCCL writes a new group's handle: from a thread of its own, when it is done, so it is not on the stack.
    // It is freed only after a success; after a failure NCCL may still write there.
    private static nint* NewHandle() => (nint*)NativeMemory.AllocZeroed((nuint)sizeof(nint));

    // Splitting and shrinking answer that all is well as soon as they are on their way; the parent's state says when they are through.
    private static int Ongoing(int code) => code == Success ? InProgress : code;

    // The new group whose handle NCCL has written, once it is ready.
    private NcclCommunicator Adopt(nint* made, GroupSettings place, string operation, CallOptions options)
    {
        var child = new NcclCommunicator(nccl, store, place, device) { handle = *made };
        NativeMemory.Free(made);
        try
        {
            child.Run(operation, options, () => InProgress);
            return child;
        }
        catch
        {
            child.Dispose();
            throw;
        }
    }

    private void Run(string operation, CallOptions options, Func<int> start)
    {
        using var cancelling = options.Cancellation.UnsafeRegister(static self => ((NcclCommunicator)self!).Abort("cancelled"), this);
        lock (calls)
        {
            if (aborted is { } reason) throw new CommunicatorException(CommunicatorFailure.Aborted, operation, Epoch, null, null, reason);
            Poll(operation, options, start, evenAborted: false);
        }
    }

    // Starts a call and polls until NCCL and the stream are through, or until it is over for another reason.
    private void Poll(string operation, CallOptions options, Func<int> start, bool evenAborted)
    {
        var patience = options.Timeout ?? settings.Timeout;
        nccl.SetDevice(device);
        var clock = Stopwatch.StartNew();
        var spin = new SpinWait();
        var state = start();
        while (true)
        {
            if (state == InProgress && handle != 0)
            {
                int asynchronous;
                state = nccl.GetAsyncError(handle, &asynchronous) is var asked and not Success ? asked : asynchronous;
            }
            if (state is not (Success or InProgress))
                throw Fail(state is SystemError or RemoteError ? CommunicatorFailure.PeerLost : CommunicatorFailure.Internal, operation, Text(state));
            if (state == Success)
            {
                var cuda = nccl.StreamQuery(stream);
                if (cuda == Success) return;
                if (cuda != NotReady) throw Fail(CommunicatorFailure.Internal, operation, $"CUDA error {cuda}");
                // The kernel waits for its peers: NCCL's own threads say when one of them is gone.
                if (handle != 0) state = InProgress;
            }
            if (!evenAborted && aborted is { } reason) throw Fail(CommunicatorFailure.Aborted, operation, reason);
            if (clock.Elapsed > patience) throw Fail(CommunicatorFailure.TimedOut, operation, $"not done within {patience.TotalMilliseconds} ms");
            spin.SpinOnce(sleep1Threshold: 200);
        }
    }

    // What was aborted ends here, where no call is in flight any more; what failed is kept, so that it can be shrunk.
    private CommunicatorException Fail(CommunicatorFailure failure, string operation, string detail)
    {
        aborted ??= detail;
        if (failure == CommunicatorFailure.Aborted && !shrinking) Break();
        return new CommunicatorException(failure, operation, Epoch, null, null, detail);
    }

    // A host address would make the GPU's whole context unusable.
    private void OnGpu(nint address, long count, string name)
    {
        if (count == 0) return;
        var attributes = stackalloc int[64];
        nccl.SetDevice(device);
        if (nccl.PointerAttributes((nint)attributes, address) != Success || attributes[0] == 0)
            throw new ArgumentException("the address is not memory that the GPU can reach (GpuMemory)", name);
    }

    private void Break()
    {
        if (handle != 0) nccl.Abort(handle);
        handle = 0;
    }

    private string Text(int code) => Marshal.PtrToStringUTF8((nint)nccl.GetErrorString(code)) ?? $"NCCL error {code}";

    private void CheckNccl(int code, string what)
    {
        if (code != Success) throw new CommunicatorException(CommunicatorFailure.Internal, what, Epoch, null, null, Text(code));
    }

    private void CheckCuda(int code, string what)
    {
        if (code != Success) throw new CommunicatorException(CommunicatorFailure.Internal, what, Epoch, null, null, $"CUDA error {code} on GPU {device}");
    }
}
