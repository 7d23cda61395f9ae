using System.Runtime.CompilerServices;

namespace Perennial.Resilience.Snapshots;

/// <summary>
/// The 4,096-byte header of a rank's memory (paper 02 §11), little-endian. Every field has one writer: the trainer writes the heartbeat and
/// the bytes written of data slots, the manager all else. Reads acquire, writes release, and a slot's state is written last.
/// </summary>
internal readonly unsafe struct RankHeader(byte* start)
{
    public const int Size = 4096;
    public const ulong MagicValue = 0x50414E534C4E5250; // "PRNLSNAP"
    public const uint CurrentVersion = 2;

    public ulong Magic { get => Get<ulong>(0); set => Set(0, value); }

    public uint Version { get => Get<uint>(8); set => Set(8, value); }

    public uint Rank { get => Get<uint>(12); set => Set(12, value); }

    public Guid RunId
    {
        get => new(new ReadOnlySpan<byte>(start + 16, 16));
        set => value.TryWriteBytes(new Span<byte>(start + 16, 16));
    }

    public ulong Epoch { get => Get<ulong>(32); set => Set(32, value); }

    public ulong LayoutHash { get => Get<ulong>(40); set => Set(40, value); }

    public ulong SlotBytes { get => Get<ulong>(48); set => Set(48, value); }

    public uint TrainerPid { get => Get<uint>(56); set => Set(56, value); }

    /// <summary>The rank's place in its sharding group: n, m and index, a byte each; the fourth is zero.</summary>
    public uint Flags { get => Get<uint>(60); set => Set(60, value); }

    /// <summary>Timestamp of the machine's monotonic clock, which all its processes share.</summary>
    public ulong Heartbeat { get => Get<ulong>(64); set => Set(64, value); }

    /// <summary>Slot header j: data A, data B, parity A, parity B.</summary>
    public SlotHeader Slot(int j) => new(start + 128 + 128 * j);

    private T Get<T>(int offset)
        where T : unmanaged => HeaderWords.Get<T>(start + offset);

    private void Set<T>(int offset, T value)
        where T : unmanaged => HeaderWords.Set(start + offset, value);
}

/// <summary>One slot's 128 bytes of the header.</summary>
internal readonly unsafe struct SlotHeader(byte* start)
{
    public SlotState State { get => (SlotState)HeaderWords.Get<uint>(start); set => HeaderWords.Set(start, (uint)value); }

    public long Step { get => HeaderWords.Get<long>(start + 8); set => HeaderWords.Set(start + 8, value); }

    /// <summary>Progress of the copy.</summary>
    public long BytesWritten { get => HeaderWords.Get<long>(start + 16); set => HeaderWords.Set(start + 16, value); }

    public UInt128 Hash
    {
        get => new(HeaderWords.Get<ulong>(start + 24), HeaderWords.Get<ulong>(start + 32));
        set
        {
            HeaderWords.Set(start + 24, (ulong)(value >> 64));
            HeaderWords.Set(start + 32, (ulong)value);
        }
    }

    public long BucketSize { get => HeaderWords.Get<long>(start + 40); set => HeaderWords.Set(start + 40, value); }

    public long BucketCount { get => HeaderWords.Get<long>(start + 48); set => HeaderWords.Set(start + 48, value); }

    /// <summary>Offset in the header's file of the first bucket's hash.</summary>
    public long FirstBucketHash { get => HeaderWords.Get<long>(start + 56); set => HeaderWords.Set(start + 56, value); }

    /// <summary>When the slot was begun, UTC ticks; for people only.</summary>
    public long WallClock { get => HeaderWords.Get<long>(start + 64); set => HeaderWords.Set(start + 64, value); }

    /// <summary>Whether the slot is prepared or committed.</summary>
    public bool IsComplete => State is SlotState.Prepared or SlotState.Committed;
}

/// <summary>Words that two processes share.</summary>
internal static unsafe class HeaderWords
{
    public static T Get<T>(byte* address)
        where T : unmanaged
    {
        if (sizeof(T) == 8)
        {
            var word = Volatile.Read(ref *(ulong*)address);
            return Unsafe.As<ulong, T>(ref word);
        }
        var half = Volatile.Read(ref *(uint*)address);
        return Unsafe.As<uint, T>(ref half);
    }

    public static void Set<T>(byte* address, T value)
        where T : unmanaged
    {
        if (sizeof(T) == 8) Volatile.Write(ref *(ulong*)address, Unsafe.As<T, ulong>(ref value));
        else Volatile.Write(ref *(uint*)address, Unsafe.As<T, uint>(ref value));
    }
}
