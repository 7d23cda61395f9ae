using System.Globalization;
using System.IO.Hashing;
using System.Text.Json;
using Perennial.Core;

namespace Perennial.Resilience.Snapshots;

/// <summary>A committed, verified slot on its way to disk.</summary>
public sealed unsafe class PersistedSlot
{
    private readonly byte* start;

    internal PersistedSlot(SlotIdentity identity, long step, byte* start)
    {
        (Identity, Step) = (identity, step);
        this.start = start;
    }

    /// <summary>Whose state it is.</summary>
    public SlotIdentity Identity { get; }

    /// <summary>The step.</summary>
    public long Step { get; }

    /// <summary>Bytes of the state, without padding.</summary>
    public long Bytes => Identity.Bytes;

    /// <summary>Address of the first byte; valid only during <see cref="ISlotSink.Write"/>.</summary>
    public nint Address => (nint)start;

    /// <summary>Writes the state's bytes to a stream.</summary>
    public void CopyTo(Stream destination)
    {
        ArgumentNullException.ThrowIfNull(destination);
        const int Piece = 4 << 20;
        for (var done = 0L; done < Bytes; done += Piece) destination.Write(new ReadOnlySpan<byte>(start + done, (int)Math.Min(Piece, Bytes - done)));
    }
}

/// <summary>Where <c>PERSIST</c> writes to: the checkpoint writer is plugged in here. Called in the manager's process, never in a trainer's.</summary>
public interface ISlotSink
{
    /// <summary>Writes a slot under a folder, durably. The slot does not change meanwhile.</summary>
    /// <exception cref="IOException">The disk is full or the folder cannot be written.</exception>
    void Write(PersistedSlot slot, string folder);
}

/// <summary>Writes a slot's bytes as they are: <c>rank-R.state</c>, and <c>rank-R.json</c> with step, size, layout and XXH128.</summary>
public sealed class RawSlotSink : ISlotSink
{
    private sealed record Description(long Step, int Rank, ulong LayoutHash, long Bytes, string Hash);

    /// <inheritdoc/>
    public unsafe void Write(PersistedSlot slot, string folder)
    {
        ArgumentNullException.ThrowIfNull(slot);
        Directory.CreateDirectory(folder);
        AtomicFile.Write(PathOf(folder, slot.Identity.Rank, "state"), slot.CopyTo);
        var hash = BucketHash.Of((byte*)slot.Address, slot.Bytes);
        // The description comes last: a state with one is whole.
        AtomicFile.WriteText(PathOf(folder, slot.Identity.Rank, "json"),
            JsonSerializer.Serialize(new Description(slot.Step, slot.Identity.Rank, slot.Identity.LayoutHash, slot.Bytes, Hex(hash))) + "\n");
    }

    /// <summary>Reads a state back; null where there is none, or one of another layout.</summary>
    /// <param name="folder">Where it was written.</param>
    /// <param name="rank">The rank.</param>
    /// <param name="layoutHash">The layout that is expected.</param>
    /// <param name="step">Its step.</param>
    /// <exception cref="PerennialException">Exit 3: it is damaged.</exception>
    public static byte[]? Read(string folder, int rank, ulong layoutHash, out long step)
    {
        step = -1;
        var (description, state) = (PathOf(folder, rank, "json"), PathOf(folder, rank, "state"));
        if (!File.Exists(description)) return null;
        try
        {
            var told = JsonSerializer.Deserialize<Description>(File.ReadAllText(description)) ?? throw PerennialException.Damaged($"{description}: says nothing");
            if (told.LayoutHash != layoutHash || told.Rank != rank) return null;
            var bytes = File.ReadAllBytes(state);
            if (bytes.Length != told.Bytes || Hex(XxHash128.HashToUInt128(bytes)) != told.Hash) throw PerennialException.Damaged($"{state}: does not have the checksum that was written with it");
            step = told.Step;
            return bytes;
        }
        catch (Exception error) when (error is JsonException or FileNotFoundException)
        {
            throw PerennialException.Damaged($"{description}: is damaged: {error.Message.ReplaceLineEndings(" ")}", error);
        }
    }

    private static string PathOf(string folder, int rank, string ending) => Path.Combine(folder, $"rank-{rank.ToString(CultureInfo.InvariantCulture)}.{ending}");

    private static string Hex(UInt128 hash) => hash.ToString("x32", CultureInfo.InvariantCulture);
}
