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
}
