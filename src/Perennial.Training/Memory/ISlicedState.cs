using Perennial.Resilience.Snapshots;

namespace Perennial.Training.Memory;

/// <summary>What the slices of a snapshot are cut from, without a copy.</summary>
internal interface ISlicedState : IDisposable
{
    /// <summary>Takes the present progress in; false where it has grown too large.</summary>
    bool Refresh();

    /// <summary>Bytes of a slice of an arrangement; the same for all of them.</summary>
    long SliceBytes(SnapshotSlices slices);

    /// <summary>Where the bytes of a slice that this process copies are; fewer than a slice has where the state ends before.</summary>
    IReadOnlyList<StateRange> Ranges(SnapshotSlices slices, SnapshotSlice slice);

    /// <summary>What the state consists of, with the size of a slice: memory of anything else is not this state's.</summary>
    ulong LayoutHash(long sliceBytes);
}
