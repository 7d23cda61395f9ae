using System.Runtime.InteropServices;
using System.Text;
using Perennial.Core;
using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Groups;

/// <summary>A group of processes over Gloo's TCP transport. The death of any peer breaks every call within milliseconds, whoever it waits for.</summary>
public sealed unsafe class GlooCommunicator : ICommunicator
{
    private readonly GlooLibrary library;
    private readonly IKeyValueStore store;
    private readonly GroupSettings settings;
    private readonly GroupHandle handle;
    private readonly ChildGroups children = new();
    private int splits;

    private GlooCommunicator(GlooLibrary library, IKeyValueStore store, GroupSettings settings)
    {
        (this.library, this.store, this.settings) = (library, store, settings);
        handle = new GroupHandle(library, settings.Rank, settings.Size);
    }

    /// <inheritdoc/>
    public int Rank => settings.Rank;

    /// <inheritdoc/>
    public int Size => settings.Size;

    /// <inheritdoc/>
    public long Epoch => settings.Epoch;

    /// <summary>Joins a group; returns when every rank is connected to every other.</summary>
    /// <param name="store">Where the ranks find each other, under the keys <c>{settings.Name}{rank}</c>.</param>
    /// <param name="settings">The group.</param>
    /// <param name="cancellation">Ends the wait for the peers.</param>
    /// <exception cref="CommunicatorException">Not every rank came in time, or forming was cancelled.</exception>
    /// <exception cref="StoreException">The store cannot be reached.</exception>
    /// <exception cref="PerennialException">Exit 4: the native library is missing.</exception>
    public static GlooCommunicator Create(IKeyValueStore store, GroupSettings settings, CancellationToken cancellation = default)
    {
        settings.Validate();
        var group = new GlooCommunicator(GlooLibrary.Load(), store, settings);
        try
        {
            group.Connect(cancellation);
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
        Arguments.Reduces(type, reduction);
        Run("all-reduce", options, (group, tag, timeout) =>
            library.AllReduce(group, data, count, (int)type, (int)reduction, (int)settings.Algorithm, tag, timeout));
    }

    /// <inheritdoc/>
    public void ReduceScatter(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, Reduction reduction = Reduction.Sum, CallOptions options = default)
    {
        Arguments.Counts(this, counts);
        Arguments.Reduces(type, reduction);
        fixed (long* first = counts)
        {
            var address = first;
            Run("reduce-scatter", options, (group, tag, timeout) =>
                library.ReduceScatter(group, source, destination, address, (int)type, (int)reduction, tag, timeout));
        }
    }

    /// <inheritdoc/>
    public void AllGather(nint source, nint destination, ReadOnlySpan<long> counts, ElementType type, CallOptions options = default)
    {
        Arguments.Counts(this, counts);
        Span<long> bytes = Size <= 256 ? stackalloc long[Size] : new long[Size];
        for (var rank = 0; rank < Size; rank++) bytes[rank] = counts[rank] * type.Size();
        fixed (long* first = bytes)
        {
            var address = first;
            Run("all-gather", options, (group, tag, timeout) => library.AllGather(group, source, destination, address, tag, timeout));
        }
    }

    /// <inheritdoc/>
    public void Broadcast(nint data, long count, ElementType type, int root, CallOptions options = default)
    {
        Arguments.Root(this, root);
        Run("broadcast", options, (group, tag, timeout) => library.Broadcast(group, data, count * type.Size(), root, tag, timeout));
    }

    /// <inheritdoc/>
    public void Send(nint data, long count, ElementType type, int to, CallOptions options = default)
    {
        Arguments.Peer(this, to);
        Run("send", options, (group, tag, timeout) => library.Send(group, data, count * type.Size(), to, tag, timeout));
    }

    /// <inheritdoc/>
    public void Receive(nint data, long count, ElementType type, int from, CallOptions options = default)
    {
        Arguments.Peer(this, from);
        Run("receive", options, (group, tag, timeout) => library.Receive(group, data, count * type.Size(), from, tag, timeout));
    }

    /// <inheritdoc/>
    public void Barrier(CallOptions options = default) => Run("barrier", options, (group, tag, timeout) => library.Barrier(group, tag, timeout));

    /// <inheritdoc/>
    public ICommunicator? Split(int color, int key, CallOptions options = default)
    {
        var members = Splitting.Members(this, color, key, options);
        var number = Interlocked.Increment(ref splits);
        if (color < 0) return null;
        var child = settings with { Name = $"{settings.Name}split{number}/{color}/", Rank = Array.IndexOf(members, Rank), Size = members.Length };
        return children.Add(child.Size == 1 ? new LoopbackCommunicator(Epoch) : Create(store, child, options.Cancellation));
    }

    /// <inheritdoc/>
    public void Abort(string reason)
    {
        children.Abort(reason);
        handle.Abort(reason);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        children.Dispose();
        if (handle.IsBusy) handle.Abort("disposed");
        handle.Dispose();
    }

    private void Connect(CancellationToken cancellation)
    {
        using var callbacks = new GlooStore(store, cancellation);
        var (host, name) = (Encoding.UTF8.GetBytes(settings.Address + '\0'), Encoding.UTF8.GetBytes(settings.Name + '\0'));
        Run("forming a group", new CallOptions(Timeout: settings.CreateTimeout, Cancellation: cancellation), (group, _, timeout) =>
        {
            fixed (byte* listen = host, prefix = name)
            {
                var code = library.Connect(group, listen, prefix, timeout, callbacks.Address, GlooStore.SetCallback, GlooStore.GetCallback);
                if (code == 0) return code;
                if (cancellation.IsCancellationRequested) return -3;
                callbacks.Rethrow();
                return code;
            }
        });
    }

    private delegate int NativeCall(nint group, uint tag, long milliseconds);

    // The native error is thread-local: it is read on the thread of the call, before anything else can run there.
    private void Run(string operation, CallOptions options, NativeCall call)
    {
        using var cancelling = options.Cancellation.UnsafeRegister(static self => ((GlooCommunicator)self!).Abort("cancelled"), this);
        var timeout = Math.Max(1, (long)(options.Timeout ?? settings.Timeout).TotalMilliseconds);
        if (!handle.TryEnter()) throw new CommunicatorException(CommunicatorFailure.Aborted, operation, Epoch, null, null, "disposed");
        try
        {
            var code = call(handle.Address, options.Tag, timeout);
            if (code != 0) throw Failure(operation, code);
        }
        finally
        {
            handle.Exit();
        }
    }

    private Exception Failure(string operation, int code)
    {
        var detail = Marshal.PtrToStringUTF8((nint)library.ErrorMessage()) ?? "";
        int? peer = library.ErrorPeer() is >= 0 and var rank ? rank : null;
        var host = peer is { } known && Marshal.PtrToStringUTF8((nint)library.Host(handle.Address, known)) is { Length: > 0 } name ? name : null;
        // Gloo begins its messages with the place in its own sources.
        if (detail.StartsWith('[') && detail.IndexOf("] ", StringComparison.Ordinal) is > 0 and var end && detail[..end].Contains(".cc:")) detail = detail[(end + 2)..];
        var failure = code switch
        {
            -1 => CommunicatorFailure.PeerLost,
            -2 => CommunicatorFailure.TimedOut,
            -3 => CommunicatorFailure.Aborted,
            _ => CommunicatorFailure.Internal,
        };
        if (code == -5) return new ArgumentException(detail);
        return new CommunicatorException(failure, operation, Epoch, failure == CommunicatorFailure.Aborted ? null : peer, host, detail);
    }
}
