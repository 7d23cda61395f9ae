using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Groups;

/// <summary>
/// A group of GPUs, one a rank, over NCCL. Addresses are device memory. Every call is enqueued on the communicator's own stream and awaited by
/// polling, so that a timeout or an abort can end it; the caller makes sure that the data is ready (its own stream synchronized) before.
/// NCCL has no tags: one call at a time, in the same order on all ranks.
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
    private bool disposed;

    private NcclCommunicator(NcclLibrary nccl, IKeyValueStore store, GroupSettings settings, int device)
    {
        (this.nccl, this.store, this.settings, this.device) = (nccl, store, settings, device);
        nint made, memory;
        CheckCuda(nccl.SetDevice(device), "choosing the GPU");
        CheckCuda(nccl.StreamCreate(&made, 1), "making a stream");
        CheckCuda(nccl.Allocate(&memory, sizeof(long)), "allocating on the GPU");
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
    /// <param name="settings">The group; its address is not used, NCCL finds the network by itself.</param>
    /// <param name="device">The index of this process's GPU.</param>
    /// <param name="cancellation">Ends the wait for the peers.</param>
    /// <exception cref="CommunicatorException">Not every rank came in time, or NCCL failed.</exception>
    /// <exception cref="Perennial.Core.PerennialException">Exit 4: NCCL or the CUDA runtime is not installed.</exception>
    public static NcclCommunicator Create(IKeyValueStore store, GroupSettings settings, int device, CancellationToken cancellation = default)
    {
        settings.Validate();
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
            group.Run("forming a group", options, () =>
            {
                var config = NcclConfig.NonBlocking;
                nint made = 0;
                var code = group.nccl.InitRankConfig(&made, settings.Size, id, settings.Rank, &config);
                group.handle = made;
                return code;
            });
            return group;
        }
        catch
        {
            group.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void AllReduce(nint data, long count, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default) =>
        Run("all-reduce", options, () => nccl.AllReduce(data, data, (nuint)count, Type(type), Operation(type, reduction), handle, stream));

    /// <inheritdoc/>
    public void ReduceScatter(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default)
    {
        Arguments.Counts(this, counts);
        var sizes = counts.ToArray();
        Run("reduce-scatter", options, () => Each(sizes, type, (rank, offset) =>
            nccl.Reduce((nint)(source + offset), destination, (nuint)sizes[rank], Type(type), Operation(type, reduction), rank, handle, stream)));
    }

    /// <inheritdoc/>
    public void AllGather(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, CallOptions options = default)
    {
        Arguments.Counts(this, counts);
        var sizes = counts.ToArray();
        Run("all-gather", options, () => Each(sizes, type, (rank, offset) =>
            nccl.Broadcast(rank == Rank ? source : (nint)(destination + offset), (nint)(destination + offset), (nuint)sizes[rank], Type(type), rank, handle, stream)));
    }

    /// <inheritdoc/>
    public void Broadcast(nint data, long count, ElementType type, int root, CallOptions options = default)
    {
        Arguments.Root(this, root);
        Run("broadcast", options, () => nccl.Broadcast(data, data, (nuint)count, Type(type), root, handle, stream));
    }

    /// <inheritdoc/>
    public void Send(nint data, long count, ElementType type, int to, CallOptions options = default)
    {
        Arguments.Peer(this, to);
        Run("send", options, () => nccl.Send(data, (nuint)count, Type(type), to, handle, stream));
    }

    /// <inheritdoc/>
    public void Receive(nint data, long count, ElementType type, int from, CallOptions options = default)
    {
        Arguments.Peer(this, from);
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
        var child = color < 0 ? null : new NcclCommunicator(nccl, store,
            settings with { Name = $"{name}{color}/", Rank = Array.IndexOf(members, Rank), Size = members.Length }, device);
        nint made = 0;
        Run("split", options, () =>
        {
            var config = NcclConfig.NonBlocking;
            nint group = 0;
            var code = nccl.Split(handle, color < 0 ? -1 : color, key, &group, &config);
            made = group;
            return code;
        });
        if (child is null) return null;
        child.handle = made;
        child.Run("split", options, () => Success);
        return children.Add(child);
    }

    /// <summary>
    /// The group without some ranks, whatever state it is in (NCCL 2.27 and newer, <see cref="NcclLibrary.CanShrink"/>): all ranks that stay
    /// call it with the same list. This communicator is broken afterwards.
    /// </summary>
    /// <param name="lost">The ranks to leave out.</param>
    /// <param name="epoch">The epoch of the new group.</param>
    /// <param name="options">Timeout and cancellation.</param>
    /// <exception cref="NotSupportedException">This NCCL cannot; make a new group.</exception>
    /// <exception cref="CommunicatorException">NCCL failed.</exception>
    public NcclCommunicator Shrink(IReadOnlyCollection<int> lost, long epoch, CallOptions options = default)
    {
        if (!nccl.CanShrink) throw new NotSupportedException("NCCL before 2.27 cannot shrink a group; make a new one");
        var ranks = lost.Order().ToArray();
        var child = new NcclCommunicator(nccl, store, settings with
        {
            Name = $"{settings.Name}shrunk{epoch}/", Rank = Rank - ranks.Count(rank => rank < Rank), Size = Size - ranks.Length, Epoch = epoch,
        }, device);
        child.Run("shrink", options, () =>
        {
            const int abortPending = 1;
            var config = NcclConfig.NonBlocking;
            nint made = 0;
            int code;
            fixed (int* first = ranks) code = nccl.Shrink(handle, first, ranks.Length, &made, &config, abortPending);
            child.handle = made;
            return code;
        });
        Abort("shrunk");
        return child;
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
            nccl.StreamDestroy(stream);
            nccl.Release(scratch);
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

    // Starts a call and polls until NCCL and the stream are through, or until it is over for another reason.
    private void Run(string operation, CallOptions options, Func<int> start)
    {
        using var cancelling = options.Cancellation.UnsafeRegister(static self => ((NcclCommunicator)self!).Abort("cancelled"), this);
        var patience = options.Timeout ?? settings.Timeout;
        lock (calls)
        {
            if (aborted is not null) throw Fail(CommunicatorFailure.Aborted, operation, aborted);
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
                if (aborted is { } reason) throw Fail(CommunicatorFailure.Aborted, operation, reason);
                if (clock.Elapsed > patience) throw Fail(CommunicatorFailure.TimedOut, operation, $"not done within {patience.TotalMilliseconds} ms");
                spin.SpinOnce(sleep1Threshold: 200);
            }
        }
    }

    private CommunicatorException Fail(CommunicatorFailure failure, string operation, string detail)
    {
        aborted ??= detail;
        Break();
        return new CommunicatorException(failure, operation, Epoch, null, null, detail);
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
