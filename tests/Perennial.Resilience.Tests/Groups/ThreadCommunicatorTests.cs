using Perennial.Resilience.Groups;

namespace Perennial.Resilience.Tests.Groups;

public sealed class ThreadCommunicatorTests : CommunicatorConformance
{
    private readonly ThreadHub hub = new();

    protected override ICommunicatorFactory Factory => hub;

    [Fact]
    public void Ranks_that_call_different_things_are_told()
    {
        var outcomes = Ranks.Try(hub, "different/", 2, group =>
        {
            if (group.Rank == 0) group.AllReduce(new float[3].AsSpan());
            else group.AllReduce(new float[4].AsSpan());
            return 0;
        });
        Assert.Contains(outcomes, outcome => outcome.Error is CommunicatorException { Failure: CommunicatorFailure.Internal });
        Assert.All(outcomes, outcome => Assert.IsType<CommunicatorException>(outcome.Error));
    }

    [Fact]
    public void A_killed_rank_dies_in_its_sub_groups_too()
    {
        var outcomes = Ranks.Try(2, rank =>
        {
            using var group = hub.Join(new GroupSettings { Name = "killed/", Rank = rank, Size = 2 });
            using var part = group.Split(0, 0)!;
            if (rank == 1) group.Kill();
            part.Barrier();
            return 0;
        });
        Assert.Equal(CommunicatorFailure.Aborted, Assert.IsType<CommunicatorException>(outcomes[1].Error).Failure);
        var lost = Assert.IsType<CommunicatorException>(outcomes[0].Error);
        Assert.Equal((CommunicatorFailure.PeerLost, 1), (lost.Failure, lost.Peer));
        Assert.Contains("killed", lost.Message);
    }
}
