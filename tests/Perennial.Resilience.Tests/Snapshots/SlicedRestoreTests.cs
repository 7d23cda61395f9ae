using System.Runtime.InteropServices;
using Perennial.Resilience.Snapshots;
using Perennial.Resilience.Tests.Coding;

namespace Perennial.Resilience.Tests.Snapshots;

/// <summary>A state of several nodes, cut in slices, comes back whole from whatever is left of them.</summary>
public sealed class SlicedRestoreTests
{
    private const int Bytes = 40_001;

    [Theory]
    [InlineData("xor", 4, new[] { 2 })]
    [InlineData("rs(2+2)", 4, new[] { 0, 3 })]
    [InlineData("rs(+2)", 5, new[] { 1, 4 })]
    [InlineData("none", 2, new int[0])]
    public void What_is_left_makes_the_whole(string parity, int nodes, int[] lost)
    {
        using var place = new Nodes(nodes, ParityChoice.Parse(parity)!, lanes: 2);
        place.Take(1);
        place.Take(2);
        foreach (var node in lost) place.Lose(node);
        var (report, state) = place.Restore();
        Assert.Equal(2, report!.Step);
        Assert.Equal(Nodes.Truth(2), state);
        Assert.Equal(2 * lost.Length, report.Sources.GetValueOrDefault(RestoreSource.Parity));
        Assert.Equal(2 * (nodes - lost.Length), report.Sources[RestoreSource.OwnMemory]);
    }

    [Fact]
    public void Too_many_lost_nodes_leave_nothing_and_say_so()
    {
        using var place = new Nodes(4, ParityChoice.Parse("rs(2+2)")!);
        place.Take(1);
        foreach (var node in new[] { 0, 1, 3 }) place.Lose(node);
        var (report, _) = place.Restore();
        Assert.Null(report);
        Assert.Contains(place.Lines, line => line.Contains("cannot be restored from memory", StringComparison.Ordinal) && line.Contains("tolerates 2", StringComparison.Ordinal));
    }

    [Fact]
    public void A_flipped_bit_is_repaired_from_parity_and_without_parity_the_step_before_is_taken()
    {
        using var place = new Nodes(3, ParityChoice.Xor);
        place.Take(5);
        place.Take(6);
        place.Flip(1, 6);
        var (report, state) = place.Restore();
        Assert.Equal((6L, 1), (report!.Step, report.Sources[RestoreSource.Parity]));
        Assert.Equal(Nodes.Truth(6), state);

        using var bare = new Nodes(3, ParityChoice.None);
        bare.Take(5);
        bare.Take(6);
        bare.Flip(1, 6);
        (report, state) = bare.Restore();
        Assert.Equal(5, report!.Step);
        Assert.Equal(Nodes.Truth(5), state);
        Assert.Contains(bare.Lines, line => line.Contains("is damaged", StringComparison.Ordinal));
    }

    [Fact]
    public void A_snapshot_whose_parity_cannot_come_any_more_is_not_waited_for()
    {
        using var place = new Nodes(3, ParityChoice.Xor);
        place.Take(5);
        place.BeginAndDie(6);
        // Who waited for it would do so for all of this time.
        var (report, state) = place.Restore(TimeSpan.FromHours(1));
        Assert.Equal((5L, 3), (report!.Step, report.Sources[RestoreSource.OwnMemory]));
        Assert.Equal(Nodes.Truth(5), state);
    }

    [Fact]
    public void A_process_that_hangs_before_its_copy_is_not_waited_for_when_the_others_have_given_up()
    {
        using var place = new Nodes(3, ParityChoice.Xor);
        place.Take(5);
        place.BeginAndDie(6, hangs: true);
        var (report, state) = place.Restore(TimeSpan.FromHours(1), isOver: true);
        Assert.Equal((5L, 3), (report!.Step, report.Sources[RestoreSource.OwnMemory]));
        Assert.Equal(Nodes.Truth(5), state);
    }

    [Fact]
    public void Parity_that_was_damaged_before_it_was_hashed_repairs_nothing()
    {
        using var place = new Nodes(3, ParityChoice.Xor);
        place.Take(5);
        place.Take(6);
        place.DamageParityUnnoticed(1, 6);
        place.Lose(0);
        var (report, state) = place.Restore();
        Assert.Equal(5, report!.Step);
        Assert.Equal(Nodes.Truth(5), state);
        Assert.Contains(place.Lines, line => line.Contains("is not what was there", StringComparison.Ordinal));
    }

    [Fact]
    public void An_older_arrangement_s_snapshot_counts_until_a_newer_one_has_its_own()
    {
        using var place = new Nodes(3, ParityChoice.Xor);
        place.Take(1);
        place.Lose(0);
        place.Rearrange(["node1", "node2"]);
        place.Take(2, commit: false);
        Assert.Equal(1, place.Restore().Report!.Step);
        place.Take(3);
        var (report, state) = place.Restore();
        Assert.Equal(3, report!.Step);
        Assert.Equal(Nodes.Truth(3), state);
    }

    /// <summary>Managers and agents of several nodes in this process.</summary>
    private sealed unsafe class Nodes : IDisposable
    {
        private readonly Guid run = Guid.NewGuid();
        private readonly string root = Directory.CreateTempSubdirectory("perennial-slices-").FullName;
        private readonly Dictionary<string, SnapshotHost> hosts = [];
        private readonly List<SnapshotAgent> agents = [];
        private readonly ParityChoice parity;
        private readonly int lanes;
        private readonly byte* state = (byte*)NativeMemory.Alloc(Bytes);
        private SnapshotSlices slices;
        private ulong epoch = 1;

        public Nodes(int nodes, ParityChoice parity, int lanes = 1)
        {
            (this.parity, this.lanes) = (parity, lanes);
            for (var node = 0; node < nodes; node++) hosts[$"node{node}"] = SnapshotHost.Start(Cluster.HostOptions(run, Path.Combine(root, $"node{node}"), Endpoint($"node{node}").Host));
            slices = null!;
            Rearrange([.. hosts.Keys]);
        }

        public IReadOnlyList<string> Lines { get; private set; } = [];

        public static byte[] Truth(long step) => Reference.Random(Bytes, (ulong)step);

        public void Rearrange(IReadOnlyList<string> nodes)
        {
            foreach (var agent in agents) agent.Dispose();
            agents.Clear();
            epoch++;
            slices = SnapshotSlices.Of([.. nodes.SelectMany(node => Enumerable.Repeat(node, lanes))], parity);
            foreach (var slice in slices.All)
            {
                var group = slice.Losses == 0 ? null : new GroupMembers([.. Enumerable.Range(slice.Id - slice.GroupIndex, slice.GroupSize)],
                    [.. slices.All.Skip(slice.Number - slice.GroupIndex).Take(slice.GroupSize).Select(member => Endpoint(member.Node))], slice.Losses, 0);
                agents.Add(SnapshotAgent.Attach(new SnapshotAgentOptions { Identity = Identity(slice), Epoch = epoch, Manager = Endpoint(slice.Node), Group = group, BucketBytes = ClusterShape.Bucket, Niceness = 0 }));
            }
        }

        /// <summary>All trainers are gone when all slices but the last were copied; or that one's is there still, and does nothing.</summary>
        public void BeginAndDie(long step, bool hangs = false)
        {
            Copy(step, slices.All.SkipLast(1));
            foreach (var agent in hangs ? agents.SkipLast(1) : agents) agent.Dispose();
        }

        public void Take(long step, bool commit = true)
        {
            // Without the last slice the step is never prepared everywhere.
            Copy(step, slices.All.SkipLast(commit ? 0 : 1));
            using var coordinator = new GroupCommit(run, epoch, slices.Groups, slices.All.ToDictionary(slice => slice.Id, slice => Endpoint(slice.Node)), ClusterShape.Patience);
            var done = coordinator.Commit(step, commit ? ClusterShape.Patience : TimeSpan.FromMilliseconds(50));
            Assert.Equal(commit ? CommitOutcome.Committed : CommitOutcome.Aborted, done.Outcome);
        }

        private void Copy(long step, IEnumerable<SnapshotSlice> some)
        {
            Truth(step).CopyTo(new Span<byte>(state, Bytes));
            var size = slices.SliceBytes(Bytes);
            foreach (var slice in some)
                Assert.Equal("", agents[slice.Number].Offer(step, slice.Number * size >= Bytes ? [] : [new StateRange((nint)(state + slice.Number * size), Math.Min(size, Bytes - slice.Number * size))]).Reason);
            foreach (var agent in agents) agent.WaitCopied();
        }

        public void Lose(int node)
        {
            hosts[$"node{node}"].Dispose();
            hosts.Remove($"node{node}");
            Directory.Delete(Path.Combine(root, $"node{node}"), recursive: true);
        }

        public void Flip(int number, long step)
        {
            var slice = slices.All[number];
            using var memory = SharedSlot.TryOpen(Path.Combine(root, slice.Node), slice.Id, run, out var problem) ?? throw new InvalidOperationException(problem);
            memory.Bytes(SlotKind.Data, memory.Find(SlotKind.Data, step))[77] ^= 4;
        }

        /// <summary>As if a bit had flipped while the parity was gathered: its hashes are those of the damaged bytes.</summary>
        public void DamageParityUnnoticed(int number, long step)
        {
            var slice = slices.All[number];
            using var memory = SharedSlot.TryOpen(Path.Combine(root, slice.Node), slice.Id, run, out var problem) ?? throw new InvalidOperationException(problem);
            var slot = memory.Find(SlotKind.Parity, step);
            for (var at = 0L; at < memory.Capacity(SlotKind.Parity); at += 64) memory.Bytes(SlotKind.Parity, slot)[at] ^= 4;
            var header = memory.Slot(SlotKind.Parity, slot);
            for (var index = 0L; index < header.BucketCount; index++)
            {
                var (offset, bytes) = memory.Bucket(SlotKind.Parity, slot, index);
                memory.Hashes(SlotKind.Parity, slot)[(int)index] = BucketHash.Of(memory.Bytes(SlotKind.Parity, slot) + offset, bytes);
            }
            header.Hash = memory.SealOf(SlotKind.Parity, slot);
        }

        public (SlicedReport? Report, byte[] State) Restore(TimeSpan? patience = null, bool isOver = false)
        {
            var restore = new SlicedRestore(run, [.. hosts.Keys.Select(Endpoint)], TimeSpan.FromSeconds(5)) { IsOver = isOver };
            var held = restore.Gather(patience ?? TimeSpan.FromSeconds(5));
            var bytes = new byte[Bytes];
            var done = restore.Run(FoundSnapshot.Among(held, Bytes, size => (ulong)size), 0, Bytes, from => new ReadOnlySpan<byte>((byte*)from, Bytes).CopyTo(bytes));
            Lines = restore.Lines;
            return (done?.Report, bytes);
        }

        public void Dispose()
        {
            foreach (var agent in agents) agent.Dispose();
            foreach (var host in hosts.Values) host.Dispose();
            NativeMemory.Free(state);
            Directory.Delete(root, recursive: true);
        }

        private SnapshotEndpoint Endpoint(string node) => new(Path.Combine(root, node + ".s"), -1);

        private SlotIdentity Identity(SnapshotSlice slice) => new(run, slice.Id, (ulong)slices.SliceBytes(Bytes), slices.SliceBytes(Bytes), slice.GroupSize, slice.GroupIndex, slice.Losses);
    }
}
