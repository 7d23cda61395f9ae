using System.Buffers.Binary;
using Perennial.Core.Safetensors;
using Perennial.Resilience.Snapshots;

namespace Perennial.Resilience.Tests.Snapshots;

/// <summary>Checkpoints on disk that managers write from committed snapshots.</summary>
public sealed class PersistTests
{
    private const int Bytes = 50_000;

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void What_was_ordered_is_on_disk_once_it_is_committed_though_no_trainer_lives(int nodes)
    {
        using var cluster = Cluster.Started(nodes, 0, Bytes);
        var store = new CheckpointStore(Path.Combine(cluster.Shape.Root, "checkpoints"), HostCheckpoints.Writer);
        Order(cluster, store, 4);
        for (var rank = 0; rank < nodes; rank++) cluster.Take(rank, 4);
        for (var rank = 0; rank < nodes; rank++) cluster.KillTrainer(rank);
        Assert.Empty(store.List());
        cluster.Commit(4);
        var report = Follow(cluster, 4);
        Assert.Equal(new(PersistStage.Written, new DirectoryInfo(store.FolderOf(4)).EnumerateFiles("*", SearchOption.AllDirectories).Where(file => file.Name != CheckpointManifest.FileName).Sum(file => file.Length), ""), report);
        AssertWhole(cluster, store, 4);
    }

    [Fact]
    public void Older_ones_go_but_for_the_pinned_and_a_commit_may_come_before_the_order()
    {
        using var cluster = Cluster.Started(2, 0, Bytes);
        var store = new CheckpointStore(Path.Combine(cluster.Shape.Root, "checkpoints"), HostCheckpoints.Writer);
        foreach (var step in new[] { 1, 2, 3, 4 })
        {
            cluster.TakeAndCommit(step);
            Order(cluster, store, step, pinned: 1);
            Assert.Equal(PersistStage.Written, Follow(cluster, step).Stage);
        }
        Assert.Equal([4L, 3, 1], store.List().Select(entry => entry.Step));
        foreach (var step in new[] { 1, 3, 4 }) AssertWhole(cluster, store, step);
    }

    [Fact]
    public void A_lost_node_s_slice_comes_from_parity_and_without_parity_nothing_is_written()
    {
        foreach (var losses in new[] { 1, 0 })
        {
            using var cluster = Cluster.Started(3, losses, Bytes);
            var store = new CheckpointStore(Path.Combine(cluster.Shape.Root, "checkpoints"), HostCheckpoints.Writer);
            cluster.TakeAndCommit(4);
            cluster.KillNode(2);
            Order(cluster, store, 4);
            var report = Follow(cluster, 4);
            Assert.Equal(losses == 1 ? PersistStage.Written : PersistStage.Lost, report.Stage);
            if (losses == 1) AssertWhole(cluster, store, 4);
            else Assert.Empty(store.List());
        }
    }

    [Fact]
    public void A_damaged_slice_is_never_written()
    {
        using var cluster = Cluster.Started(2, 0, Bytes);
        var store = new CheckpointStore(Path.Combine(cluster.Shape.Root, "checkpoints"), HostCheckpoints.Writer);
        cluster.TakeAndCommit(4);
        cluster.Flip(0, SlotKind.Data, cluster.SlotOf(0, SlotKind.Data, 4), 100);
        Order(cluster, store, 4);
        Assert.Equal(PersistStage.Lost, Follow(cluster, 4).Stage);
        Assert.Empty(store.List());
        // The manager lives on.
        cluster.TakeAndCommit(5);
        Order(cluster, store, 5);
        Assert.Equal(PersistStage.Written, Follow(cluster, 5).Stage);
    }

    [Fact]
    public void What_a_disk_refuses_is_told_and_older_checkpoints_stand()
    {
        using var cluster = Cluster.Started(1, 0, Bytes);
        var store = new CheckpointStore(Path.Combine(cluster.Shape.Root, "checkpoints"), HostCheckpoints.Writer);
        cluster.TakeAndCommit(4);
        Order(cluster, store, 4);
        Assert.Equal(PersistStage.Written, Follow(cluster, 4).Stage);
        // A file where the folder should be, as good as a disk that is full, whoever runs this.
        File.WriteAllText(store.TemporaryOf(5), "");
        cluster.TakeAndCommit(5);
        Order(cluster, store, 5);
        var failed = Follow(cluster, 5);
        Assert.Equal(PersistStage.Failed, failed.Stage);
        Assert.NotEqual("", failed.Problem);
        AssertWhole(cluster, store, 4);
        // What a killed manager left is no checkpoint and in nobody's way.
        File.Delete(store.TemporaryOf(5));
        Directory.CreateDirectory(store.TemporaryOf(5));
        File.WriteAllText(Path.Combine(store.TemporaryOf(5), "model.safetensors"), "half");
        Assert.Equal(4, store.Newest(_ => { })!.Step);
        Order(cluster, store, 5);
        Assert.Equal(PersistStage.Written, Follow(cluster, 5).Stage);
        AssertWhole(cluster, store, 5);
    }

    [Fact]
    public void A_manager_killed_while_it_writes_leaves_no_half_checkpoint_and_the_next_writes_it()
    {
        using var cluster = new Cluster(1, 0, 64 << 20);
        var store = new CheckpointStore(Path.Combine(cluster.Shape.Root, "checkpoints"), HostCheckpoints.Writer);
        var process = cluster.StartHostProcess(0);
        cluster.Attach(0);
        Order(cluster, store, 4);
        cluster.TakeAndCommit(4);
        Assert.True(SpinWait.SpinUntil(() => Directory.Exists(store.TemporaryOf(4)) || store.List().Count > 0, ClusterShape.Patience));
        process.KillNow();
        if (store.List() is [var entry]) Assert.Null(CheckpointStore.Problem(entry));
        cluster.StartHost(0);
        Order(cluster, store, 4);
        Assert.Equal(PersistStage.Written, Follow(cluster, 4).Stage);
        AssertWhole(cluster, store, 4);
    }

    [Fact]
    public void Orders_that_no_longer_hold_are_refused_withdrawn_or_replaced()
    {
        using var cluster = Cluster.Started(2, 0, Bytes);
        var store = new CheckpointStore(Path.Combine(cluster.Shape.Root, "checkpoints"), HostCheckpoints.Writer);
        using var client = cluster.Client(0);
        Assert.Equal(RefusalReason.NotFound, Assert.Throws<SnapshotRefusedException>(() => client.AwaitPersisted(7, PersistStage.Ordered)).Reason);
        // Never committed: taken back.
        Order(cluster, store, 7);
        Assert.Equal(PersistStage.Ordered, client.AwaitPersisted(7, PersistStage.Ordered).Stage);
        Assert.Equal(PersistStage.Lost, client.AwaitPersisted(7, PersistStage.Ordered, withdraw: true).Stage);
        cluster.TakeAndCommit(7);
        Assert.Equal(PersistStage.Lost, client.AwaitPersisted(7, PersistStage.Ordered).Stage);
        // Replaced by another, which is the one that is written.
        Order(cluster, store, 8);
        Order(cluster, store, 9);
        cluster.TakeAndCommit(8);
        cluster.TakeAndCommit(9);
        Assert.Equal(PersistStage.Written, Follow(cluster, 9).Stage);
        Assert.Equal([9L], store.List().Select(entry => entry.Step));
        // Of a membership that is over, and of slices that are elsewhere.
        cluster.Epoch = 2;
        for (var rank = 0; rank < 2; rank++) cluster.Attach(rank);
        Assert.Equal(RefusalReason.Fenced, Assert.Throws<SnapshotRefusedException>(() => Order(cluster, store, 10, epoch: 1)).Reason);
        Assert.Equal(RefusalReason.NotFound, Assert.Throws<SnapshotRefusedException>(() => Order(cluster, store, 10, tag: 3)).Reason);
    }

    [Fact]
    public void A_checkpoint_that_others_overtook_is_not_put_before_theirs()
    {
        using var cluster = Cluster.Started(1, 0, Bytes);
        var store = new CheckpointStore(Path.Combine(cluster.Shape.Root, "checkpoints"), HostCheckpoints.Writer);
        cluster.TakeAndCommit(4);
        store.Write(2, folder => File.WriteAllText(Path.Combine(folder, "a"), "b"), keep: 2);
        // Large enough that a later one can appear while this one is written.
        var form = Form(cluster, store) with { Constants = [new ConstantFile("config.json", new byte[32 << 20])] };
        using var client = cluster.Client(0);
        using var begun = new ManualResetEventSlim();
        using var watch = new FileSystemWatcher(store.Root) { NotifyFilter = NotifyFilters.DirectoryName };
        watch.Created += (_, _) => begun.Set();
        watch.EnableRaisingEvents = true;
        client.Persist(OrderOf(cluster, 4, form.Encode().Hash, null, 1, 0), form.Encode());
        Assert.True(begun.Wait(ClusterShape.Patience, TestContext.Current.CancellationToken));
        var other = Directory.CreateDirectory(store.FolderOf(6));
        var report = Follow(cluster, 4);
        // Where the watcher was late the checkpoint was there before.
        if (report.Stage == PersistStage.Failed) Assert.Contains("step 6 was written meanwhile", report.Problem, StringComparison.Ordinal);
        Assert.Equal(report.Stage == PersistStage.Failed, !Directory.Exists(store.FolderOf(4)));
        Assert.True(other.Exists);
    }

    [Fact]
    public void A_form_that_reaches_beyond_the_state_is_refused()
    {
        var form = new CheckpointForm { Root = "", Keep = 1, StateBytes = 8, Tensors = [new TensorFile("t.safetensors", [new TensorPlace("t", SafetensorsType.F32, [2], 4)])], Constants = [], Counted = [] };
        var place = Directory.CreateTempSubdirectory("perennial-form-").FullName;
        unsafe
        {
            var state = stackalloc byte[8];
            var at = (nint)state;
            Assert.Throws<ArgumentException>(() => form.Write(at, place));
            Assert.Throws<ArgumentException>(() => (form with { Tensors = [], Counted = [new CountedFile("p.json", 6)] }).Write(at, place));
            state[0] = 5;
            Assert.Throws<ArgumentException>(() => (form with { Tensors = [], Counted = [new CountedFile("p.json", 0)] }).Write(at, place));
            state[0] = 4;
            (form with { Tensors = [], Counted = [new CountedFile("p.json", 0)] }).Write(at, place);
        }
        Assert.Equal(4, new FileInfo(Path.Combine(place, "p.json")).Length);
        Assert.Throws<ArgumentException>(() => CheckpointForm.Decode("{}"u8));
        Directory.Delete(place, recursive: true);
    }

    /// <summary>The state is the ranks' bytes one behind the other: a counted text in the first of them, the rest one tensor and the same again.</summary>
    private static CheckpointForm Form(Cluster cluster, CheckpointStore store)
    {
        long bytes = cluster.Shape.Ranks * (long)cluster.Shape.Bytes;
        return new CheckpointForm
        {
            Root = store.Root, Keep = 2, StateBytes = bytes,
            Tensors = [new TensorFile("model.safetensors", [new TensorPlace("all", SafetensorsType.U8, [bytes], 0)]), new TensorFile("state/slots.safetensors", [new TensorPlace("tail", SafetensorsType.U8, [bytes / 2], bytes - bytes / 2)])],
            Constants = [new ConstantFile("config.json", "{}"u8.ToArray())],
            Counted = [],
        };
    }

    private static PersistOrder OrderOf(Cluster cluster, long step, UInt128 form, long? pinned, ulong epoch, int tag) =>
        new(epoch, step, tag, cluster.Shape.Bytes, 7, cluster.Shape.Ranks * (long)cluster.Shape.Bytes, pinned, form, [.. cluster.Shape.Managers.Values]);

    private static void Order(Cluster cluster, CheckpointStore store, long step, long? pinned = null, ulong? epoch = null, int tag = 0)
    {
        var form = Form(cluster, store).Encode();
        using var client = cluster.Client(0);
        client.Persist(OrderOf(cluster, step, form.Hash, pinned, epoch ?? cluster.Epoch, tag), form);
    }

    private static PersistReport Follow(Cluster cluster, long step)
    {
        using var client = cluster.Client(0);
        var report = new PersistReport(PersistStage.Ordered, 0, "");
        while (!report.IsLast) report = client.AwaitPersisted(step, report.Stage);
        return report;
    }

    private static void AssertWhole(Cluster cluster, CheckpointStore store, long step)
    {
        var folder = store.FolderOf(step);
        Assert.Null(CheckpointStore.Problem(new CheckpointEntry(step, folder)));
        Assert.Equal(step, CheckpointManifest.Read(folder).Step);
        byte[] truth = [.. Enumerable.Range(0, cluster.Shape.Ranks).SelectMany(rank => RankState.Truth(rank, step, cluster.Shape.Bytes))];
        Assert.Equal(truth, Data(Path.Combine(folder, "model.safetensors")));
        Assert.Equal(truth[^(truth.Length / 2)..], Data(Path.Combine(folder, "state", "slots.safetensors")));
    }

    private static byte[] Data(string path)
    {
        var bytes = File.ReadAllBytes(path);
        return bytes[(8 + (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes))..];
    }
}
