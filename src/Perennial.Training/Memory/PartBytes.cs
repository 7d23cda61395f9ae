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
    private readonly StateBytes own;
    private readonly ParallelShape shape;
    private PartSizes? sizes;

    /// <param name="decoder">This rank's part.</param>
    /// <param name="state">Its state.</param>
    public PartBytes(ParallelDecoder decoder, TrainingState state) => (own, shape, Rank) = (new StateBytes(state, decoder.Trained), decoder.Placement.Shape, decoder.Rank);

    /// <summary>This rank.</summary>
    public int Rank { get; }

    /// <summary>What all ranks have.</summary>
    /// <exception cref="InvalidOperationException">They have not met.</exception>
    public PartSizes Sizes => sizes ?? throw new InvalidOperationException("the ranks have not told each other how much they have");

    private IReadOnlyList<long> Mine => [own.Count, unchecked((long)own.LayoutHash(own.Count))];

    /// <summary>Learns what the other ranks have; every rank of the world calls it.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public void Meet(ICommunicator world)
    {
        var all = new long[PartSizes.Fields * world.Size];
        world.AllGather([.. Mine], all, [.. Enumerable.Repeat((long)PartSizes.Fields, world.Size)]);
        sizes = new(shape, all);
    }

    /// <summary>Takes what ranks had that are not here any more; whether this one's place has the same now.</summary>
    public bool Recall(PartSizes known)
    {
        sizes = known;
        return known.Told.Skip(PartSizes.Fields * Rank).Take(PartSizes.Fields).SequenceEqual(Mine);
    }

    /// <summary>The slice that a rank copies its share into. Where a node has fewer ranks than another, one of them also writes the slices that are left: zeros.</summary>
    public static SnapshotSlice SliceOf(SnapshotSlices slices, int rank) => slices.All.First(slice => slice.Writer == rank);

    /// <inheritdoc/>
    public bool Refresh() => own.Refresh();

    /// <inheritdoc/>
    public long SliceBytes(SnapshotSlices slices) => Sizes.Share;

    /// <inheritdoc/>
    public IReadOnlyList<StateRange> Ranges(SnapshotSlices slices, SnapshotSlice slice)
    {
        if (slice != SliceOf(slices, Rank)) return [];
        var sharers = Sizes.SharersOf(Rank);
        return own.Ranges(Sizes.Share * Enumerable.Range(0, sharers.Count).First(number => sharers[number] == Rank), Sizes.Share);
    }

    /// <inheritdoc/>
    public ulong LayoutHash(long sliceBytes) => Sizes.LayoutHash(sliceBytes);

    /// <summary>Replaces this rank's state by what <see cref="PartSizes.Room"/> bytes say.</summary>
    public void Load(nint bytes, string origin) => own.Load(bytes, origin);

    /// <inheritdoc/>
    public void Dispose() => own.Dispose();
}
