using CsCheck;
using Perennial.Resilience.Snapshots;

namespace Perennial.Resilience.Tests.Snapshots;

/// <summary>
/// Faults at random points: whatever dies, every rank gets the same step back, no step that was committed is lost as long as at most m nodes of
/// the group died, and the bytes are those of that step.
/// </summary>
public sealed class RandomKillTests
{
    private enum Victim
    {
        Trainer,
        Manager,
        Node,
        TwoNodes,
    }

    [Fact]
    public void Nothing_committed_is_lost_at_any_point() =>
        Gen.Select(Gen.Int[0, 2], Gen.Enum<Victim>().Array[1, 3], Gen.Int[0, 1000], Gen.Bool).Sample((shape, victims, point, lostCommit) =>
        {
            var (n, m) = shape switch { 0 => (2, 1), 1 => (3, 1), _ => (4, 2) };
            using var cluster = Cluster.Started(n, m, bytes: 30_000);
            var step = 1L;
            var committed = -1L;
            foreach (var victim in victims)
            {
                for (var quiet = 0; quiet < point % 3; quiet++) cluster.TakeAndCommit(committed = step++);
                var who = point / 3 % n;
                var bucket = point / 12 % 8;
                Fault(cluster, victim, who, bucket, step, lostCommit, ref committed);
                var lost = victim == Victim.Node ? 1 : victim == Victim.TwoNodes ? 2 : 0;
                var choice = cluster.Choose(TimeSpan.FromMilliseconds(50));
                if (lost <= m) Assert.True((choice.Step ?? -1) >= committed, $"step {committed} was committed, {choice.Step} is chosen: {string.Join("; ", choice.Reasons)}");
                if (choice.Step is { } chosen) Assert.InRange(chosen, Math.Max(1, step - 1), step);
                cluster.Epoch++;
                using var coordinator = cluster.Shape.Coordinator(cluster.Epoch);
                if (choice.Step is null) return; // the disk's turn
                Assert.Empty(coordinator.Recover(choice));
                for (var rank = 0; rank < n; rank++)
                {
                    if (victim == Victim.Manager && rank == who || lost > 0 && (rank == who || lost == 2 && rank == (who + 1) % n)) cluster.StartHost(rank);
                    cluster.Attach(rank, options => options with { Restored = choice.Step });
                }
                for (var rank = 0; rank < n; rank++) Assert.NotEqual(RestoreSource.Disk, cluster.RestoreAndCheck(rank, choice.Step.Value).Source);
                // The next snapshot protects the group again.
                step = choice.Step.Value + 1;
                cluster.TakeAndCommit(committed = step++);
                point = point * 7 + 11;
            }
        }, iter: 15, threads: 1);

    /// <summary>All ranks take a step; one dies at a bucket, or after it, before, between or after the commits.</summary>
    private static void Fault(Cluster cluster, Victim victim, int who, int bucket, long step, bool lostCommit, ref long committed)
    {
        var n = cluster.Shape.Ranks;
        var early = bucket < 5;
        cluster.Attach(who, options => options with { OnBucket = (at, index) => { if (early && at == step && index == bucket) throw new IOException("killed"); } });
        for (var rank = 0; rank < n; rank++) Assert.Equal("", cluster.Offer(rank, step).Reason);
        for (var rank = 0; rank < n; rank++) cluster.Agent(rank).WaitCopied();
        if (!early)
        {
            using var coordinator = cluster.Shape.Coordinator(cluster.Epoch);
            if (!lostCommit) Assert.Equal(CommitOutcome.Committed, coordinator.Commit(committed = step, ClusterShape.Patience).Outcome);
        }
        cluster.KillTrainer(who);
        if (victim == Victim.Manager) cluster.KillHost(who);
        if (victim >= Victim.Node) cluster.KillNode(who);
        if (victim == Victim.TwoNodes) cluster.KillNode((who + 1) % n);
    }
}
