using Perennial.Membership;
using Perennial.Resilience.Groups;
using Perennial.Resilience.Tests.Membership;

namespace Perennial.Resilience.Tests.Groups;

/// <summary>Groups of real processes over NCCL. They need a GPU; ranks share it where there are fewer than ranks.</summary>
public sealed class NcclGroupTests(StoreServer server, ITestOutputHelper output) : IClassFixture<StoreServer>
{
    private const int Kill = 9, Stop = 19, Size = 4;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(40);

    [Fact]
    public void Every_collective_does_what_the_interface_says() => Run("collectives", ranks =>
    {
        foreach (var rank in ranks) Done(rank);
    });

    [Fact]
    public void The_group_shrinks_without_a_killed_rank() => Lose("killed", Kill);

    [Fact]
    public void The_group_shrinks_without_a_rank_that_hangs() => Lose("stopped", Stop);

    [Fact]
    public void An_abort_wakes_its_own_call_and_those_of_the_peers() => Run("abort", ranks =>
    {
        foreach (var rank in ranks.Take(2)) Assert.EndsWith("Aborted", Done(rank));
        foreach (var rank in ranks.Skip(2)) Assert.EndsWith("PeerLost", Done(rank));
    });

    [Fact]
    public void A_rank_that_does_not_come_is_a_timeout() => Run("timeout", ranks =>
    {
        foreach (var rank in ranks.Skip(1)) Assert.EndsWith("TimedOut", Done(rank));
        Done(ranks[0]);
    });

    private void Lose(string scenario, int signal) => Run(scenario, ranks =>
    {
        foreach (var rank in ranks) rank.Next("working", Deadline);
        // Into a collective, and then long enough for the others to wait in it: neither is told by anything.
        Thread.Sleep(500);
        ranks[^1].Send(signal);
        Thread.Sleep(500);
        using (var store = RedisStore.Connect(server.Server.Address)) store.Set($"{scenario}/lost", [1]);
        foreach (var rank in ranks.SkipLast(1)) Done(rank);
    });

    private string Done(GroupProcess rank)
    {
        var line = rank.Next("done", Deadline);
        output.WriteLine($"rank {rank.Rank}: {line}");
        Assert.Equal(0, rank.ExitCode(Deadline));
        return line;
    }

    private void Run(string scenario, Action<IReadOnlyList<GroupProcess>> check)
    {
        Assert.SkipWhen(NcclLibrary.WhyMissing() is not null, NcclLibrary.WhyMissing() ?? "");
        var ranks = Enumerable.Range(0, Size).Select(rank => new GroupProcess(NcclWorker.Command, server.Server.Address.ToSecretString(), scenario, $"{rank}", $"{Size}", scenario) { Rank = rank }).ToList();
        try
        {
            check(ranks);
        }
        finally
        {
            ranks.ForEach(rank => rank.Dispose());
        }
    }
}
