using System.Collections.Concurrent;
using System.Text;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Partition;
using Perennial.Resilience.Snapshots;
using Perennial.Training.Parallel;
using Perennial.Training.State;

namespace Perennial.Training.Memory;

/// <summary>One rank's part in the snapshots of a run under a fixed shape: taken as everywhere, brought back by all ranks together.</summary>
internal sealed class FixedMemory : IDisposable
{
    private readonly MemorySettings settings;
    private readonly PartBytes bytes;
    private readonly ConcurrentQueue<string> alarms = new();
    private ICommunicator? world;

    /// <param name="settings">Where to.</param>
    /// <param name="decoder">This rank's part.</param>
    /// <param name="state">Its state.</param>
    public FixedMemory(MemorySettings settings, ParallelDecoder decoder, TrainingState state)
    {
        (this.settings, bytes) = (settings, new PartBytes(decoder, state));
        Snapshots = new MemorySnapshots(settings, bytes, () => state.Progress.Step, alarms.Enqueue);
    }

    /// <summary>Taking them.</summary>
    public MemorySnapshots Snapshots { get; }

    /// <summary>Nodes that keep snapshots.</summary>
    public int Nodes => settings.Managers.Count;

    /// <summary>The node of every rank.</summary>
    public IReadOnlyList<string> NodeOfRank { get; private set; } = [];

    /// <summary>Bytes of a snapshot, over all ranks.</summary>
    public long Bytes => Slices.All.Count * bytes.Sizes.Share;

    private SnapshotSlices Slices => SnapshotSlices.Of(NodeOfRank, settings.Parity);

    /// <summary>Learns where the ranks of a new world are and what they have; all of them call it.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public void Meet(ICommunicator group, string node)
    {
        world = group;
        NodeOfRank = [.. GateExchange.Gather(group, Encoding.UTF8.GetBytes(node)).Select(Encoding.UTF8.GetString)];
        bytes.Meet(group);
    }

    /// <summary>What later processes must know to read what ranks keep here; after <see cref="Meet"/>.</summary>
    /// <param name="cut">The shape.</param>
    public KeptShape Kept(ShapeCut cut) => new(cut.Shape, [.. cut.Cut.Ends], [.. NodeOfRank], [.. bytes.Sizes.Told]);

    /// <summary>Takes the place of a rank that is not here any more, to read what it kept; false where it kept something else than this part has.</summary>
    public bool Recall(KeptShape kept)
    {
        NodeOfRank = kept.Nodes;
        return bytes.Recall(new PartSizes(kept.Shape, kept.Sizes));
    }

    /// <summary>Brings the newest snapshot back that is wanted; all ranks call it, after <see cref="Meet"/>. Says how, or null where there is none (see <see cref="PartRestore.Run"/>).</summary>
    /// <param name="isWorth">Whether a step is wanted.</param>
    /// <param name="replacing">Called before anything is replaced.</param>
    /// <param name="isOver">Whether all that still live have given their snapshots up.</param>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public string? Restore(Func<long, bool> isWorth, Action replacing, bool isOver) =>
        new PartRestore(settings, new PartReader(bytes.Sizes, Slices, [bytes.Rank]), world!, 0, alarms.Enqueue, isOver).Run(isWorth, read =>
        {
            replacing();
            bytes.Load(read, "the snapshot in memory");
        }) is { } done ? ReplicaRestore.Words(done) : null;

    /// <summary>Reads what was kept under the arrangement of the last <see cref="Meet"/>: this rank's place, and those of lost ranks.</summary>
    /// <param name="places">The places.</param>
    public PartReader Reader(IReadOnlyList<int> places) => new(bytes.Sizes, Slices, places);

    /// <summary>Bytes from one place to the next in what a <see cref="Reader"/> reads.</summary>
    public long Room => bytes.Sizes.Room;

    /// <summary>Begins to take snapshots; all ranks call it, when they have one state.</summary>
    /// <exception cref="CommunicatorException">A rank was lost.</exception>
    public void Join() => Snapshots.Join(world, NodeOfRank);

    /// <summary>Takes what went wrong, to be told with the rest.</summary>
    public void Alarm(string line) => alarms.Enqueue(line);

    /// <summary>What went wrong since the last call, on any thread.</summary>
    public IEnumerable<string> Alarms()
    {
        while (alarms.TryDequeue(out var line)) yield return line;
    }

    /// <inheritdoc/>
    public void Dispose() => Snapshots.Dispose();
}
