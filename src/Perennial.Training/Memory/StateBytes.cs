using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using Perennial.Resilience.Snapshots;
using Perennial.Tensors;
using Perennial.Training.State;
using TorchSharp;

namespace Perennial.Training.Memory;

/// <summary>
/// A process's training state as one row of bytes, without a copy: the progress (length, JSON line, zeros), the flat weights, every slot. Any
/// slice of it is a few ranges of memory. Replicas cut it in equal slices.
/// </summary>
/// <param name="state">The state.</param>
/// <param name="weights">The weights that are kept: those of the state, or the piece of them that only this process has.</param>
internal sealed unsafe class StateBytes(TrainingState state, FlatParameters weights) : ISlicedState
{
    /// <summary>Bytes that the progress has, before the weights.</summary>
    public const int ProgressRoom = 1 << 20;
    private readonly byte* progress = (byte*)NativeMemory.AllocZeroed(ProgressRoom);

    /// <summary>Bytes in all.</summary>
    public long Count { get; } = ProgressRoom + Buffers(state, weights).Sum(Bytes);

    /// <summary>Where the progress begins: the number of its bytes, then they.</summary>
    public static long ProgressStart => 0;

    /// <summary>Where the weights begin, then where each slot does.</summary>
    public IReadOnlyList<long> Starts
    {
        get
        {
            var (starts, at) = (new List<long>(), (long)ProgressRoom);
            foreach (var values in Buffers(state, weights))
            {
                starts.Add(at);
                at += Bytes(values);
            }
            return starts;
        }
    }

    /// <inheritdoc/>
    public bool Refresh()
    {
        // As it stands in a checkpoint's file.
        var json = Encoding.UTF8.GetBytes(ProgressJson.Write(state.Progress) + "\n");
        if (json.Length > ProgressRoom - sizeof(int)) return false;
        var before = *(int*)progress;
        *(int*)progress = json.Length;
        json.CopyTo(new Span<byte>(progress + sizeof(int), json.Length));
        if (before > json.Length) NativeMemory.Clear(progress + sizeof(int) + json.Length, (nuint)(before - json.Length));
        return true;
    }

    /// <inheritdoc/>
    public long SliceBytes(SnapshotSlices slices) => slices.SliceBytes(Count);

    /// <inheritdoc/>
    public IReadOnlyList<StateRange> Ranges(SnapshotSlices slices, SnapshotSlice slice) => Ranges(slice.Number * SliceBytes(slices), SliceBytes(slices));

    /// <summary>Where the bytes of a stretch are; fewer than asked for where the state ends before.</summary>
    public IReadOnlyList<StateRange> Ranges(long start, long bytes)
    {
        var ranges = new List<StateRange>();
        var at = 0L;
        foreach (var (address, length) in Buffers(state, weights).Select(values => (TensorMemory.Pointer(values), Bytes(values))).Prepend(((nint)progress, ProgressRoom)))
        {
            var (from, to) = (Math.Max(start, at), Math.Min(start + bytes, at + length));
            if (from < to) ranges.Add(new StateRange((nint)(address + (from - at)), to - from));
            at += length;
        }
        return ranges;
    }

    /// <summary>Replaces the state by what <see cref="Count"/> bytes say.</summary>
    public void Load(nint bytes, string origin)
    {
        // The progress is read first: where it is nonsense nothing has moved yet.
        var restored = ReadProgress(bytes, origin);
        var from = (byte*)bytes + ProgressRoom;
        foreach (var values in Buffers(state, weights))
        {
            Buffer.MemoryCopy(from, (void*)TensorMemory.Pointer(values), Bytes(values), Bytes(values));
            from += Bytes(values);
        }
        state.Progress = restored;
    }

    /// <summary>The progress at the head of a state's bytes.</summary>
    /// <exception cref="Core.PerennialException">Exit 3: there is none.</exception>
    public static Progress ReadProgress(nint bytes, string origin)
    {
        var length = *(int*)bytes;
        if (length is < 2 or > ProgressRoom - sizeof(int)) throw Core.PerennialException.Damaged($"{origin}: the progress has an impossible length");
        return ProgressJson.Read(Encoding.UTF8.GetString((byte*)bytes + sizeof(int), length), origin);
    }

    /// <inheritdoc/>
    public ulong LayoutHash(long sliceBytes)
    {
        var names = string.Join('\n', weights.Layout.Entries.Select(entry => $"{entry.Name} {string.Join('x', entry.Shape)}").Concat(state.Slots.Select(slot => $"{slot.Name} {slot.Values.dtype} {slot.Values.NumberOfElements}")));
        return XxHash3.HashToUInt64(Encoding.UTF8.GetBytes($"{names}\nslices of {sliceBytes}"));
    }

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.Free(progress);

    private static IEnumerable<torch.Tensor> Buffers(TrainingState state, FlatParameters weights) => state.Slots.Select(slot => slot.Values).Prepend(weights.Values);

    private static long Bytes(torch.Tensor values) => values.NumberOfElements * values.ElementSize;
}
