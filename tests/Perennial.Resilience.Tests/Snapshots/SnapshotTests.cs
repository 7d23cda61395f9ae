using Perennial.Resilience.Snapshots;

namespace Perennial.Resilience.Tests.Snapshots;

public sealed class SnapshotTests
{
    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    [InlineData(3, 1)]
    [InlineData(4, 2)]
    public void Committed_steps_come_back_byte_for_byte_and_slots_alternate(int ranks, int losses)
    {
        using var cluster = Cluster.Started(ranks, losses);
        for (var step = 1; step <= 4; step++)
        {
            cluster.TakeAndCommit(step);
            for (var rank = 0; rank < ranks; rank++)
            {
                Assert.Equal(step, cluster.Agent(rank).CommittedStep);
                Assert.Equal((step + 1) % 2, cluster.SlotOf(rank, SlotKind.Data, step));
                Assert.Equal(RestoreSource.OwnMemory, cluster.RestoreAndCheck(rank, step).Source);
            }
        }
        Assert.Equal(4, cluster.Choose().Step);
        Assert.Empty(cluster.Alarms);
    }

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    public void A_team_copies_within_the_offer_and_the_same_bytes_stand(int ranks, int losses)
    {
        using var cluster = Cluster.Started(ranks, losses);
        var calls = 0;
        // Backwards on two threads: nothing may rely on an order.
        void Team(int count, Action<int> body)
        {
            Interlocked.Increment(ref calls);
            Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = 2 }, index => body(count - 1 - index));
        }
        for (var rank = 0; rank < ranks; rank++) cluster.Attach(rank, options => options with { Team = Team });
        for (var step = 1; step <= 3; step++)
        {
            for (var rank = 0; rank < ranks; rank++)
            {
                Assert.True(cluster.Offer(rank, step).Started);
                Assert.Equal(step * ranks - (ranks - 1 - rank), calls);
            }
            cluster.Commit(step);
            for (var rank = 0; rank < ranks; rank++) Assert.Equal(RestoreSource.OwnMemory, cluster.RestoreAndCheck(rank, step).Source);
        }
        Assert.Empty(cluster.Alarms);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_step_that_one_rank_declines_is_given_up_without_waiting_for_it(int losses)
    {
        using var cluster = Cluster.Started(2, losses);
        cluster.TakeAndCommit(1);
        Assert.True(cluster.Take(0, 2).Started);
        cluster.Agent(1).Decline(2);
        // Who had to wait for the rank would wait forever.
        using (var coordinator = cluster.Shape.Coordinator(1)) Assert.Equal(CommitOutcome.Aborted, coordinator.Commit(2, TimeSpan.FromHours(1)).Outcome);
        Assert.Equal(1, cluster.Choose().Step);
        cluster.TakeAndCommit(3);
        for (var rank = 0; rank < 2; rank++) Assert.Equal(RestoreSource.OwnMemory, cluster.RestoreAndCheck(rank, 3).Source);
    }

    [Fact]
    public void A_state_of_many_ranges_is_found_from_any_bucket()
    {
        const int Bytes = 50_000;
        using var cluster = Cluster.Started(1, 0, Bytes);
        cluster.Attach(0, options => options with { Team = (count, body) => { for (var index = count - 1; index >= 0; index--) body(index); } });
        using var state = new RankState(Bytes);
        state.Fill(0, 1);
        // An empty range, one within a bucket, one across several; the slot's rest stays zero.
        long[] ends = [0, 0, 100, 4096, 4097, 30_000, 49_999];
        var ranges = ends.Zip(ends.Skip(1), (from, to) => new StateRange(state.Range.Address + (nint)from, to - from)).ToArray();
        Assert.True(cluster.Agent(0).Offer(1, ranges).Started);
        cluster.Commit(1);
        using var restored = new RankState(Bytes);
        cluster.Shape.Restore(0).Run(1, cluster.Agent(0), restored.Range.Address);
        Assert.True(restored.Span[..^1].SequenceEqual(state.Span[..^1]));
        Assert.Equal(0, restored.Span[^1]);
    }

    [Fact]
    public void A_fenced_trainer_learns_it_from_its_team_and_leaves_no_snapshot()
    {
        using var cluster = Cluster.Started(1, 0);
        var stale = SnapshotAgent.Attach(cluster.Shape.AgentOptions(0, 1) with { Epoch = 3, Team = Steal, OnAlarm = text => { lock (cluster.Alarms) cluster.Alarms.Add(text); } });
        using (stale)
        {
            using var state = new RankState(cluster.Shape.Bytes);
            state.Fill(0, 1);
            Assert.True(stale.Offer(1, [state.Range]).Started);
            Assert.Contains(cluster.Alarms, text => text.Contains("step 1 was given up", StringComparison.Ordinal));
            Assert.True(stale.IsSettled || stale.CommittedStep < 1);
        }
        Assert.Null(cluster.Choose().Step);

        void Steal(int count, Action<int> body)
        {
            body(0);
            // A newer trainer takes the rank in the middle of the copy.
            cluster.Epoch = 9;
            cluster.Attach(0);
            for (var index = 1; index < count; index++) body(index);
        }
    }
}
