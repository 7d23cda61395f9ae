using Perennial.Resilience.Snapshots;

namespace Perennial.Resilience.Tests.Snapshots;

/// <summary>Every row of paper 02 §10. k is the step being snapshotted; processes that die are processes, and they die by SIGKILL.</summary>
public sealed class CrashMatrixTests
{
    private const long K = 5;

    /// <summary>Two ranks that mirror each other: rank 0's trainer is a process, rank 1's is in the test. Step k−1 is committed.</summary>
    private static Cluster Start(out System.Diagnostics.Process trainer)
    {
        var cluster = new Cluster(2, 1);
        cluster.StartHost(0);
        cluster.StartHost(1);
        trainer = cluster.StartTrainerProcess(0);
        cluster.Attach(1);
        Order(trainer, $"step {K - 1}", $"copied {K - 1}");
        cluster.Take(1, K - 1);
        cluster.Commit(K - 1);
        return cluster;
    }

    private static void Order(System.Diagnostics.Process trainer, string order, string answer)
    {
        trainer.StandardInput.WriteLine(order);
        trainer.WaitFor(answer);
    }

    /// <summary>Epoch 2: the choice is made to hold, both ranks attach again, and every byte of the step is there.</summary>
    private static void RestoreAndGoOn(Cluster cluster, long expected, RestoreSource source = RestoreSource.OwnMemory, TimeSpan? patience = null)
    {
        var choice = cluster.Choose(patience);
        Assert.Equal(expected, choice.Step);
        Assert.Equal(source, choice.Sources[0]);
        cluster.Epoch++;
        using (var coordinator = cluster.Shape.Coordinator(cluster.Epoch)) Assert.Empty(coordinator.Recover(choice));
        for (var rank = 0; rank < cluster.Shape.Ranks; rank++) cluster.Attach(rank);
        Assert.Equal(source, cluster.RestoreAndCheck(0, expected).Source);
        Assert.Equal(RestoreSource.OwnMemory, cluster.RestoreAndCheck(1, expected).Source);
        cluster.TakeAndCommit(expected + 1);
        Assert.Equal(expected + 1, cluster.Choose().Step);
    }

    [Fact]
    public void Trainer_dies_before_BEGIN_and_the_step_before_is_restored()
    {
        using var cluster = Start(out var trainer);
        trainer.KillNow();
        RestoreAndGoOn(cluster, K - 1);
    }

    [Fact]
    public void Trainer_dies_during_WRITING_and_the_step_before_is_restored()
    {
        using var cluster = Start(out var trainer);
        trainer.StandardInput.WriteLine($"stop {K} 3");
        Order(trainer, $"step {K}", $"stopped {K} 3");
        using (var client = cluster.Client(0)) Assert.Equal(SlotState.Writing, client.Inventory()[0].StateOf(SlotKind.Data, K));
        trainer.KillNow();
        RestoreAndGoOn(cluster, K - 1);
    }

    [Fact]
    public async Task Trainer_dies_after_its_copy_and_the_step_is_restored_once_the_others_finish()
    {
        using var cluster = Start(out var trainer);
        using var go = new ManualResetEventSlim();
        cluster.Attach(1, options => options with { OnBucket = (step, _) => { if (step == K) go.Wait(); } });
        Order(trainer, $"step {K}", $"copied {K}");
        Assert.True(cluster.Offer(1, K).Started);
        trainer.KillNow();
        var choice = Task.Run(() => cluster.Choose(), TestContext.Current.CancellationToken);
        go.Set();
        Assert.Equal(K, (await choice).Step);
        RestoreAndGoOn(cluster, K);
    }

    [Fact]
    public void Trainer_dies_after_its_copy_and_the_step_before_is_restored_where_another_dies_too()
    {
        using var cluster = Start(out var trainer);
        Order(trainer, $"step {K}", $"copied {K}");
        cluster.Attach(1, options => options with { OnBucket = (step, bucket) => { if ((step, bucket) == (K, 2)) throw new IOException("killed"); } });
        cluster.Take(1, K);
        cluster.KillTrainer(1);
        trainer.KillNow();
        // Rank 0 has the step but waits for parity that will never come.
        RestoreAndGoOn(cluster, K - 1, patience: TimeSpan.FromMilliseconds(100));
    }

    [Fact]
    public void All_are_PREPARED_and_the_COMMIT_is_lost_and_the_step_is_restored()
    {
        using var cluster = Start(out var trainer);
        Order(trainer, $"step {K}", $"copied {K}");
        cluster.Take(1, K);
        WaitPrepared(cluster, K);
        trainer.KillNow();
        RestoreAndGoOn(cluster, K);
    }

    [Fact]
    public void COMMIT_is_seen_by_some_and_the_next_step_is_being_written_there_and_the_step_is_restored()
    {
        using var cluster = Start(out var trainer);
        Order(trainer, $"step {K}", $"copied {K}");
        cluster.Take(1, K);
        WaitPrepared(cluster, K);
        using (var client = cluster.Client(0)) client.Commit(0, 1, K);
        trainer.StandardInput.WriteLine($"stop {K + 1} 0");
        Order(trainer, $"step {K + 1}", $"stopped {K + 1} 0"); // over the slot of k − 1
        using (var client = cluster.Client(0)) Assert.False(client.Inventory()[0].Has(K - 1));
        trainer.KillNow();
        RestoreAndGoOn(cluster, K);
    }

    [Fact]
    public void The_coordinator_dies_and_any_other_comes_to_the_same_step()
    {
        using var cluster = Start(out var trainer);
        Order(trainer, $"step {K}", $"copied {K}");
        cluster.Take(1, K);
        WaitPrepared(cluster, K);
        var coordinator = cluster.StartCoordinatorProcess();
        coordinator.WaitFor("sees 2 ranks");
        coordinator.KillNow();
        Assert.Equal([K, K], Enumerable.Range(0, 2).Select(_ => cluster.Choose().Step!.Value));
        cluster.Commit(K);
        Order(trainer, $"step {K + 1}", $"copied {K + 1}");
        Assert.Equal(K, cluster.Agent(1).CommittedStep);
    }

    [Fact]
    public void The_manager_dies_with_its_memory_during_WRITING_and_the_group_is_unprotected_until_the_next_commit()
    {
        using var cluster = new Cluster(2, 1);
        var manager = cluster.StartHostProcess(0);
        cluster.StartHost(1);
        cluster.Attach(1);
        cluster.Attach(0, options => options with { OnBucket = (step, bucket) => { if ((step, bucket) == (K, 2)) manager.KillNow(); } });
        cluster.TakeAndCommit(K - 1);
        cluster.Take(0, K);
        cluster.Forget(0);
        Assert.Contains("unprotected until its next commit", Assert.Single(cluster.Alarms), StringComparison.Ordinal);
        Assert.Contains("manager is gone", cluster.Take(0, K + 1).Reason, StringComparison.Ordinal); // training goes on
        cluster.Take(1, K);
        using (var coordinator = cluster.Shape.Coordinator(1)) Assert.Equal(CommitOutcome.Unreachable, coordinator.Commit(K, TimeSpan.Zero).Outcome);
        Assert.Equal(RestoreSource.Parity, cluster.Choose(TimeSpan.Zero).Sources[0]); // the one loss that is tolerated is used up
        cluster.StartHostProcess(0);
        using (var coordinator = cluster.Shape.Coordinator(1)) Assert.Equal(CommitOutcome.Aborted, GiveUp(cluster, coordinator, K).Outcome);
        cluster.TakeAndCommit(K + 1);
        Assert.Equal(RestoreSource.OwnMemory, cluster.Choose().Sources[0]);
    }

    [Fact]
    public void A_manager_killed_alone_leaves_its_memory_to_its_successor()
    {
        using var cluster = new Cluster(2, 1);
        var manager = cluster.StartHostProcess(0);
        cluster.StartHost(1);
        cluster.Attach(1);
        cluster.Attach(0, options => options with { OnBucket = (step, bucket) => { if ((step, bucket) == (K, 2)) manager.KillNow(); } });
        cluster.TakeAndCommit(K - 1);
        cluster.Take(0, K);
        cluster.StartHostProcess(0);
        var choice = cluster.Choose(TimeSpan.Zero);
        Assert.Equal((K - 1, RestoreSource.OwnMemory), (choice.Step, choice.Sources[0]));
        cluster.Attach(0);
        Assert.Equal(RestoreSource.OwnMemory, cluster.RestoreAndCheck(0, K - 1).Source);
    }

    [Fact]
    public void A_node_dies_and_its_state_is_rebuilt_from_parity_and_protected_again()
    {
        using var cluster = Cluster.Started(3, 1);
        cluster.KillNode(0);
        var manager = cluster.StartHostProcess(0);
        cluster.Attach(0);
        cluster.TakeAndCommit(K);
        manager.KillNow();
        cluster.KillNode(0);
        var choice = cluster.Choose();
        Assert.Equal((K, RestoreSource.Parity), (choice.Step, choice.Sources[0]));
        cluster.Epoch++;
        using var coordinator = cluster.Shape.Coordinator(cluster.Epoch);
        Assert.Empty(coordinator.Recover(choice));
        cluster.StartHost(0);
        for (var rank = 0; rank < 3; rank++) cluster.Attach(rank);
        var report = cluster.RestoreAndCheck(0, K);
        Assert.Equal((RestoreSource.Parity, 2), (report.Source, report.RepairedChunks));
        Assert.Equal(2 * 2 * cluster.Shape.Identity(0).ChunkBytes, report.FetchedBytes);
        // Protected again before the next snapshot: the restored rank offers the step, the others send their shares once more.
        Assert.True(cluster.Take(0, K).Started);
        Assert.Equal(CommitOutcome.Committed, coordinator.Protect(K, ClusterShape.Patience).Outcome);
        cluster.KillNode(1);
        Assert.Equal(RestoreSource.Parity, cluster.RestoreAndCheck(1, K).Source);
    }

    [Fact]
    public void A_second_node_dies_while_the_first_is_repaired_and_only_the_disk_is_left()
    {
        using var cluster = Cluster.Started(3, 1);
        cluster.KillNode(1);
        var second = cluster.StartHostProcess(1);
        cluster.Attach(1);
        cluster.TakeAndCommit(K);
        cluster.KillNode(0);
        var choice = cluster.Choose();
        Assert.Equal((K, RestoreSource.Parity), (choice.Step, choice.Sources[0]));
        second.KillNow();
        cluster.KillNode(1);
        var report = cluster.RestoreAndCheck(0, K);
        Assert.Equal(RestoreSource.Disk, report.Source);
        Assert.Contains(report.Lines, line => line.Contains("the disk checkpoint is needed", StringComparison.Ordinal));
        var again = cluster.Choose();
        Assert.Null(again.Step);
        Assert.Contains(again.Reasons, reason => reason.Contains("rank 0, rank 1 lost it", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(0)] // magic
    [InlineData(16)] // run id
    [InlineData(48)] // size
    [InlineData(128 + 8)] // step of data A
    [InlineData(128 + 24)] // hash of data A
    [InlineData(128 + 40)] // bucket size of data A
    public void A_torn_header_makes_its_slots_empty(int offset)
    {
        using var cluster = Cluster.Started(2, 1);
        cluster.TakeAndCommit(K);
        cluster.KillTrainer(0);
        cluster.KillHost(0);
        using (var head = File.OpenWrite(SharedSlot.HeadPath(cluster.Shape.Folder(0), 0)))
        {
            head.Position = offset;
            head.Write([0x5A, 0x5A]);
        }
        cluster.StartHost(0);
        var choice = cluster.Choose();
        Assert.Equal((K, RestoreSource.Parity), (choice.Step, choice.Sources[0]));
        cluster.Epoch++;
        cluster.Attach(0);
        Assert.Equal(RestoreSource.Parity, cluster.RestoreAndCheck(0, K).Source);
    }

    [Fact]
    public void A_header_torn_under_a_living_manager_makes_its_slot_empty_too()
    {
        using var cluster = Cluster.Started(2, 1);
        cluster.TakeAndCommit(K);
        using (var memory = SharedSlot.TryOpen(cluster.Shape.Folder(0), 0, cluster.Shape.RunId, out _)!)
        {
            var slot = memory.Slot(SlotKind.Data, 0);
            slot.Step = K + 1;
        }
        Assert.Equal((K, RestoreSource.Parity), (cluster.Choose().Step, cluster.Choose().Sources[0]));
    }

    [Fact]
    public void A_manager_killed_for_want_of_memory_is_told_as_such()
    {
        using var cluster = new Cluster(2, 1);
        var manager = cluster.StartHostProcess(0);
        cluster.StartHost(1);
        cluster.Attach(1);
        var kills = 3L;
        cluster.Attach(0, options => options with { MemoryKills = () => kills });
        cluster.TakeAndCommit(K);
        manager.KillNow();
        kills++;
        cluster.Take(0, K + 1);
        Assert.Contains("killed a process for want of memory", Assert.Single(cluster.Alarms), StringComparison.Ordinal);
    }

    private static CommitResult GiveUp(Cluster cluster, GroupCommit coordinator, long step)
    {
        // Rank 0 must know its new manager before that can answer for it.
        cluster.Take(0, step);
        using (var client = cluster.Client(0)) client.Abort(0, 1, step, onlyUnprepared: false);
        return coordinator.Commit(step, TimeSpan.Zero);
    }

    private static void WaitPrepared(Cluster cluster, long step)
    {
        using var coordinator = cluster.Shape.Coordinator(1);
        for (var wait = 0; wait < 2000; wait++)
        {
            if (coordinator.Gather().Count(rank => rank.Has(step)) == cluster.Shape.Ranks) return;
            // Other processes write it into their memory, and nothing tells this one.
            Thread.Sleep(2);
        }
        Assert.Fail("the ranks were not prepared");
    }
}
