using CsCheck;
using Perennial.Resilience.Snapshots;

namespace Perennial.Resilience.Tests.Snapshots;

public sealed class DamageTests
{
    private const long K = 3;

    [Theory]
    [InlineData(2, 1)]
    [InlineData(4, 1)]
    [InlineData(5, 2)]
    public void A_bit_that_flips_in_any_chunk_is_found_and_repaired_from_parity(int ranks, int losses)
    {
        using var cluster = Cluster.Started(ranks, losses, bytes: 40_000);
        cluster.TakeAndCommit(K);
        var identity = cluster.Shape.Identity(0);
        for (var chunk = 0; chunk < ranks - losses; chunk++)
            foreach (var offset in new[] { chunk * identity.ChunkBytes, (chunk + 1) * identity.ChunkBytes - 1 })
            {
                cluster.Flip(0, SlotKind.Data, 0, offset);
                var report = cluster.RestoreAndCheck(0, K);
                Assert.Equal(RestoreSource.Parity, report.Source);
                Assert.InRange(report.RepairedChunks, 1, 2); // a bucket may touch two chunks
                Assert.Contains(report.Lines, line => line.Contains("is damaged", StringComparison.Ordinal));
                cluster.Flip(0, SlotKind.Data, 0, offset); // back again
            }
        Assert.Equal(RestoreSource.OwnMemory, cluster.RestoreAndCheck(0, K).Source);
    }

    [Fact]
    public void A_damaged_chunk_of_a_survivor_counts_as_one_more_loss()
    {
        using var cluster = Cluster.Started(5, 2, bytes: 40_000);
        cluster.TakeAndCommit(K);
        cluster.KillNode(0);
        cluster.Flip(1, SlotKind.Data, 0, 5);
        cluster.Flip(2, SlotKind.Parity, 0, 5);
        var report = cluster.RestoreAndCheck(0, K);
        Assert.Equal(RestoreSource.Parity, report.Source);
        Assert.Contains(report.Lines, line => line.Contains("is damaged", StringComparison.Ordinal));
        for (var rank = 1; rank < 5; rank++)
            for (var at = 0L; at < cluster.Shape.Identity(rank).DataCapacity; at += ClusterShape.Bucket) cluster.Flip(rank, SlotKind.Data, 0, at);
        Assert.Equal(RestoreSource.Disk, cluster.RestoreAndCheck(0, K).Source);
    }

    [Fact]
    public void Random_flips_never_lead_to_wrong_bytes() =>
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, 39_999], Gen.Bool).Array[1, 6].Sample(flips =>
        {
            using var cluster = Cluster.Started(4, 2, bytes: 40_000);
            cluster.TakeAndCommit(K);
            foreach (var (rank, offset, parity) in flips) cluster.Flip(rank, parity ? SlotKind.Parity : SlotKind.Data, 0, offset);
            // RestoreAndCheck compares every byte unless the report says disk.
            for (var rank = 0; rank < 4; rank++)
            {
                var report = cluster.RestoreAndCheck(rank, K);
                if (flips.Length <= 2) Assert.NotEqual(RestoreSource.Disk, report.Source);
            }
        }, iter: 6, threads: 1);

    [Fact]
    public void A_bucket_that_changes_on_its_way_gives_the_snapshot_up_and_training_goes_on()
    {
        using var cluster = Cluster.Started(2, 1);
        cluster.TakeAndCommit(K);
        using var state = new RankState(cluster.Shape.Bytes);
        cluster.KillTrainer(0);
        using var client = cluster.Client(0);
        client.Hello(new(cluster.Shape.Identity(0), 2, 1, null, cluster.Shape.Members));
        client.Begin(new(0, 2, K + 1), 1, ClusterShape.Bucket);
        Assert.Equal(RefusalReason.Damaged, Assert.Throws<SnapshotRefusedException>(() => client.Bucket(new(0, 2, K + 1), 0, 12345)).Reason);
        var inventory = client.Inventory()[0];
        Assert.Equal((K + 1, SlotState.Empty), (inventory.LastAborted, inventory.StateOf(SlotKind.Data, K + 1)));
        cluster.Take(1, K + 1);
        using var coordinator = cluster.Shape.Coordinator(2);
        Assert.Equal(CommitOutcome.Aborted, coordinator.Commit(K + 1, ClusterShape.Patience).Outcome);
        Assert.Equal(K, cluster.Choose().Step);
    }

    [Fact]
    public void A_state_that_changes_under_the_copy_is_caught_or_consistent()
    {
        using var cluster = Cluster.Started(1, 0, bytes: 200_000);
        using var state = new RankState(200_000);
        state.Fill(0, 1);
        Assert.True(cluster.Agent(0).Offer(1, [state.Range]).Started);
        state.Span.Fill(9); // breaks the rule: the state must stay until WaitCopied
        cluster.Agent(0).WaitCopied();
        // Without parity a bucket's hash is looked at when it is read: what is there is what was hashed, or it is not restored.
        using var memory = SharedSlot.TryOpen(cluster.Shape.Folder(0), 0, cluster.Shape.RunId, out _)!;
        using var destination = new RankState(200_000);
        var (slot, report) = (cluster.SlotOf(0, SlotKind.Data, 1), cluster.Shape.Restore(0).Run(1, cluster.Agent(0), destination.Range.Address));
        var isWhole = Enumerable.Range(0, (int)memory.Slot(SlotKind.Data, slot).BucketCount).All(bucket => memory.BucketHolds(SlotKind.Data, slot, bucket));
        Assert.Equal(isWhole ? RestoreSource.OwnMemory : RestoreSource.Disk, report.Source);
    }

    [Fact]
    public void A_replica_is_used_before_parity()
    {
        using var cluster = Cluster.Started(2, 1);
        // Both ranks hold the bytes of rank 1.
        using var same = new RankState(cluster.Shape.Bytes);
        same.Fill(1, K);
        for (var rank = 0; rank < 2; rank++)
        {
            Assert.True(cluster.Agent(rank).Offer(K, [same.Range]).Started);
            cluster.Agent(rank).WaitCopied();
        }
        cluster.Commit(K);
        cluster.KillNode(0);
        var group = cluster.Shape.Group with { Replicas = new Dictionary<int, IReadOnlyList<int>> { [0] = [1] } };
        using var destination = new RankState(cluster.Shape.Bytes);
        var report = new SnapshotRestore(cluster.Shape.Identity(0), group, cluster.Shape.Managers, ClusterShape.Patience).Run(K, null, destination.Range.Address);
        Assert.Equal(RestoreSource.Replica, report.Source);
        Assert.True(destination.Span.SequenceEqual(same.Span));
        using var coordinator = new GroupCommit(cluster.Shape.RunId, 1, [group], cluster.Shape.Managers, ClusterShape.Patience);
        Assert.Equal(RestoreSource.Replica, coordinator.Choose(TimeSpan.Zero).Sources[0]);
    }
}
