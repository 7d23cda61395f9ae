using System.Diagnostics;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using Perennial.Core;

namespace Perennial.Resilience.Snapshots;

/// <summary>A trainer's connection to its manager and the mapped memory.</summary>
internal sealed class Attachment(SnapshotClient client, SharedSlot memory) : IDisposable
{
    public SnapshotClient Client => client;

    public SharedSlot Memory => memory;

    public static Attachment Open(SnapshotAgentOptions options)
    {
        var client = SnapshotClient.Connect(options.Manager, options.Identity.RunId, options.Timeout);
        try
        {
            var folder = client.Hello(new(options.Identity, options.Epoch, Environment.ProcessId, options.Restored, options.Group));
            var memory = SharedSlot.TryOpen(folder, options.Identity.Rank, options.Identity.RunId, out var problem)
                ?? throw new IOException($"the memory of {SnapshotSlices.NameOf(options.Identity.Rank)} cannot be used: {problem}");
            return new(client, memory);
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    /// <summary>Waits while the manager still counts on an earlier trainer, which may have died a moment ago.</summary>
    public static Attachment OpenPatiently(SnapshotAgentOptions options)
    {
        var start = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return Open(options);
            }
            catch (SnapshotRefusedException refused) when (refused.Reason == RefusalReason.Busy && Stopwatch.GetElapsedTime(start) < options.AttachPatience)
            {
                // Nothing tells when the manager has noticed that death.
                Thread.Sleep(5);
            }
        }
    }

    public void Dispose()
    {
        client.Dispose();
        memory.Dispose();
    }
}

/// <summary>One snapshot's copy: bucket by bucket, each hashed while it passes, and hashed again where it landed: by the manager where it makes parity of it, else when it is read.</summary>
internal sealed unsafe class CopyJob(Attachment attachment, StepMessage message, int slot, long bucketBytes, IReadOnlyList<StateRange> state)
{
    // Small enough that the copy finds in the cache what the hash has read.
    private const long Block = 128 << 10;
    private readonly bool isReadSoon = attachment.Memory.Identity.Losses > 0;
    private readonly Lock counting = new();

    public StepMessage Message => message;

    /// <summary>Copies in the order of the state on the calling thread, which stands back behind whoever computes.</summary>
    public void Run(long bytesPerSecond, Action<long, long>? onBucket)
    {
        var start = Stopwatch.GetTimestamp();
        var capacity = Begin();
        for (var index = 0L; index * bucketBytes < capacity; index++)
        {
            Copy(index, Thread.Yield, onBucket);
            if (bytesPerSecond > 0)
            {
                var ahead = TimeSpan.FromSeconds((double)Math.Min(capacity, (index + 1) * bucketBytes) / bytesPerSecond) - Stopwatch.GetElapsedTime(start);
                if (ahead > TimeSpan.Zero) Thread.Sleep(ahead);
            }
        }
        attachment.Client.Prepared(message);
    }

    /// <summary>Copies buckets in any order on the threads of a team.</summary>
    public void Run(CopyTeam team, Action<long, long>? onBucket)
    {
        var capacity = Begin();
        team(checked((int)((capacity + bucketBytes - 1) / bucketBytes)), index => Copy(index, null, onBucket));
        attachment.Client.Prepared(message);
    }

    private long Begin()
    {
        attachment.Memory.Slot(SlotKind.Data, slot).BytesWritten = 0;
        return attachment.Memory.Identity.DataCapacity;
    }

    private void Copy(long index, Func<bool>? standBack, Action<long, long>? onBucket)
    {
        var memory = attachment.Memory;
        var offset = index * bucketBytes;
        var end = Math.Min(memory.Identity.DataCapacity, offset + bucketBytes);
        var hash = new XxHash128();
        var (range, within) = Find(offset);
        for (var at = offset; at < end; at += Block)
        {
            CopyBlock(memory.Bytes(SlotKind.Data, slot) + at, Math.Min(Block, end - at), hash, ref range, ref within);
            // Whoever waits for the core gets it here.
            standBack?.Invoke();
        }
        lock (counting)
        {
            var header = memory.Slot(SlotKind.Data, slot);
            header.BytesWritten += end - offset;
        }
        attachment.Client.Bucket(message, index, hash.GetCurrentHashAsUInt128());
        onBucket?.Invoke(message.Step, index);
    }

    /// <summary>The range that an offset of the state lies in, and where in it.</summary>
    private (int Range, long Within) Find(long offset)
    {
        var range = 0;
        for (; range < state.Count && offset >= state[range].Bytes; range++) offset -= state[range].Bytes;
        return (range, offset);
    }

    /// <summary>Copies the next bytes of the state, across its ranges; zeros behind its end. What is hashed is the source.</summary>
    private void CopyBlock(byte* destination, long bytes, XxHash128 hash, ref int range, ref long within)
    {
        while (bytes > 0)
        {
            if (range == state.Count)
            {
                NativeMemory.Clear(destination, (nuint)bytes);
                hash.Append(new ReadOnlySpan<byte>(destination, (int)bytes));
                return;
            }
            var part = Math.Min(bytes, state[range].Bytes - within);
            var source = (byte*)state[range].Address + within;
            hash.Append(new ReadOnlySpan<byte>(source, (int)part));
            // Training's own data should stay in the caches.
            if (isReadSoon) Buffer.MemoryCopy(source, destination, part, part);
            else StreamingCopy.Copy(source, destination, part);
            destination += part;
            (bytes, within) = (bytes - part, within + part);
            if (within == state[range].Bytes) (range, within) = (range + 1, 0);
        }
    }
}

/// <summary>Lets a thread stand back behind others.</summary>
internal static partial class ThreadNiceness
{
    private const int OfProcess = 0;

    /// <summary>Sets the calling thread's niceness; does nothing where the system has none for threads.</summary>
    public static void Set(int niceness)
    {
        // On Linux "process 0" is the calling thread.
        if (OperatingSystem.IsLinux() && niceness > 0) _ = SetPriority(OfProcess, 0, niceness);
    }

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int priority);
}
