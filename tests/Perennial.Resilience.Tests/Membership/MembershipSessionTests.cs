using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Tests.Membership;

/// <summary>The threads around the agent.</summary>
public sealed class MembershipSessionTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(20);

    [Fact]
    public void Processes_find_each_other_and_one_that_leaves_is_missed()
    {
        using var store = new MemoryStore();
        var options = new MembershipOptions { Run = "run", Expected = 2 };
        using var lost = new ManualResetEventSlim();
        using var first = new MembershipSession(store, options, agent => agent.MemberLost += (_, _) => lost.Set());
        var second = new MembershipSession(store, options);
        var (epoch, rank) = first.WaitForEpoch(0, Long);
        Assert.Equal((1L, 0), (epoch.Number, rank));
        Assert.Equal(1, second.WaitForEpoch(0, Long).Rank);
        second.Dispose();
        Assert.Equal((2L, 0), (first.WaitForEpoch(1, Long).Epoch.Number, first.Current!.RankOf(first.Id)));
        Assert.True(lost.Wait(Long));
        Assert.Throws<TimeoutException>(() => first.WaitForEpoch(2, TimeSpan.FromMilliseconds(20)));
        using var source = new CancellationTokenSource(20);
        Assert.ThrowsAny<OperationCanceledException>(() => first.WaitForEpoch(2, Long, source.Token));
    }
}
