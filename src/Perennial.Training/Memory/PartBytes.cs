using System.Globalization;
using System.IO.Hashing;
using System.Text;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Snapshots;
using Perennial.Training.Parallel;
using Perennial.Training.State;

namespace Perennial.Training.Memory;

/// <summary>
/// The state of a fixed shape: what each rank has of it. A rank copies the weights that its optimizer moves (under ZeRO its piece: the others
/// have the rest), every slot, and the progress. Data ranks without ZeRO have one state between them, and each copies its share of that. All
/// slices are as long as the longest share, as parity wants it; behind a shorter one are zeros.
/// </summary>
internal sealed class PartBytes : ISlicedState
{
    private const long Alignment = 64;
    private readonly StateBytes own;
    private readonly ParallelShape shape;
    private readonly int rank;
    private long share;
    private string content = "";

    /// <param name="decoder">This rank's part.</param>
    /// <param name="state">Its state.</param>
    public PartBytes(ParallelDecoder decoder, TrainingState state) => (own, shape, rank) = (new StateBytes(state, decoder.Trained), decoder.Placement.Shape, decoder.Rank);

    /// <summary>This rank.</summary>
    public int Rank => rank;

    /// <summary>Ranks that have this one's state, itself among them, in the order of their shares.</summary>
    public IReadOnlyList<int> Sharers => SharersOf(rank);

    /// <summary>Bytes of a rank's state, with room behind them for whole shares.</summary>
    public long Room => share * Sharers.Count;

    /// <summary>Learns what the other ranks have; every rank of the world calls it.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public void Meet(ICommunicator world)
    {
        const int fields = 2;
        var all = new long[fields * world.Size];
        world.AllGather([own.Count, unchecked((long)own.LayoutHash(own.Count))], all, [.. Enumerable.Repeat((long)fields, world.Size)]);
        var least = Enumerable.Range(0, world.Size).Max(each => (all[fields * each] + SharersOf(each).Count - 1) / SharersOf(each).Count);
        share = (least + Alignment - 1) / Alignment * Alignment;
        content = $"{shape} {string.Join(' ', all.Select(number => number.ToString(CultureInfo.InvariantCulture)))}";
    }

    /// <summary>The slice that a rank copies its share into. Where a node has fewer ranks than another, one of them also writes the slices that are left: zeros.</summary>
    public static SnapshotSlice SliceOf(SnapshotSlices slices, int rank) => slices.All.First(slice => slice.Writer == rank);

    /// <inheritdoc/>
    public bool Refresh() => own.Refresh();

    /// <inheritdoc/>
    public long SliceBytes(SnapshotSlices slices) => share;

    /// <inheritdoc/>
    public IReadOnlyList<StateRange> Ranges(SnapshotSlices slices, SnapshotSlice slice) =>
        slice == SliceOf(slices, rank) ? own.Ranges(share * Enumerable.Range(0, Sharers.Count).First(number => Sharers[number] == rank), share) : [];

    /// <inheritdoc/>
    public ulong LayoutHash(long sliceBytes) => XxHash3.HashToUInt64(Encoding.UTF8.GetBytes($"{content}\nparts of {sliceBytes}"));

    /// <summary>Replaces this rank's state by what <see cref="Room"/> bytes say.</summary>
    public void Load(nint bytes, string origin) => own.Load(bytes, origin);

    /// <inheritdoc/>
    public void Dispose() => own.Dispose();

    /// <summary>Ranks that have a rank's state, itself among them, in the order of their shares.</summary>
    public IReadOnlyList<int> SharersOf(int one)
    {
        var place = shape.CoordinatesOf(one);
        return shape.Zero > 0 ? [one] : [.. Enumerable.Range(0, shape.Data).Select(data => shape.RankOf(place with { Data = data }))];
    }
}
