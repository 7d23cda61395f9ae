using Perennial.Resilience.Membership;

namespace Perennial.Resilience.Tests.Membership;

/// <summary>Membership step by step, with a clock that the test moves.</summary>
public sealed class MembershipAgentTests : IDisposable
{
    private readonly ManualTime time = new();
    private readonly MemoryStore store;
    private readonly MembershipOptions options = new() { Run = "run", Expected = 3 };

    public MembershipAgentTests() => store = new MemoryStore(time);

    public void Dispose() => store.Dispose();

    private MembershipAgent Agent(int order = int.MaxValue)
    {
        var agent = new MembershipAgent(store, options with { Order = order, Node = $"node{order}" }, time);
        agent.Join();
        return agent;
    }

    private void Run(int milliseconds, params MembershipAgent[] agents)
    {
        for (var passed = 0; passed <= milliseconds; passed += 20)
        {
            foreach (var agent in agents)
            {
                agent.Beat();
                agent.Watch();
            }
            time.Advance(20);
        }
    }

    private static long[] Ids(MembershipAgent agent) => [.. agent.Current!.Members.Select(member => member.Id)];

    [Fact]
    public void The_first_epoch_waits_for_all_and_follows_the_launcher_s_order()
    {
        MembershipAgent a = Agent(2), b = Agent(0);
        Run(2000, a, b);
        Assert.Null(a.Current);
        var c = Agent(1);
        Run(40, a, b, c);
        Assert.Equal(1, a.Current!.Number);
        Assert.Equal([b.Id, c.Id, a.Id], Ids(c));
        Assert.Single(new[] { a, b, c }, agent => agent.IsCoordinator);
    }

    [Fact]
    public void A_silent_member_is_lost_when_its_lease_runs_out_and_its_rank_closes_up()
    {
        MembershipAgent a = Agent(), b = Agent(), c = Agent();
        Run(100, a, b, c);
        var lost = new List<long>();
        var joined = new List<long>();
        c.MemberLost += (_, change) => lost.Add(change.Member.Id);
        c.MemberJoined += (_, change) => joined.Add(change.Member.Id);
        EpochChangedEventArgs? seen = null;
        c.EpochChanged += (_, change) => seen = change;
        Run(300, a, c);
        Assert.Null(seen);
        Run(260, a, c);
        Assert.Equal([b.Id], lost);
        Assert.Empty(joined);
        Assert.Equal((2L, 1), (seen!.Current.Number, seen.Rank));
        Assert.Equal([a.Id, c.Id], Ids(a));
    }

    [Fact]
    public void The_coordinator_s_death_is_survived()
    {
        MembershipAgent a = Agent(), b = Agent(), c = Agent();
        Run(100, a, b, c);
        Assert.True(a.IsCoordinator);
        Run(600, b, c);
        Assert.True(b.IsCoordinator ^ c.IsCoordinator);
        Assert.Equal([b.Id, c.Id], Ids(b));
    }

    [Fact]
    public void A_reported_coordinator_that_is_dead_loses_its_duty_before_its_lease_and_a_living_one_does_not()
    {
        MembershipAgent a = Agent(), b = Agent(), c = Agent();
        Run(100, a, b, c);
        foreach (var agent in new[] { b, c }) agent.Report(a.Id);
        // It lives, and answers.
        Run(400, a, b, c);
        Assert.Equal(1, b.Current!.Number);
        Assert.True(a.IsCoordinator);
        // Now it is dead, just after it renewed everything.
        a.Beat();
        a.Watch();
        foreach (var agent in new[] { b, c }) agent.Report(a.Id);
        Run(140, b, c);
        Assert.Equal(1, b.Current!.Number);
        Run(60, b, c);
        Assert.Equal([b.Id, c.Id], Ids(b));
        Assert.Equal([b.Id, c.Id], Ids(c));
        Assert.True(b.IsCoordinator ^ c.IsCoordinator);
        // What was settled is forgotten: the next who is reported has its full time.
        b.Report(c.Id);
        Run(100, b);
        Assert.Equal(2, b.Current!.Number);
    }

    [Fact]
    public void A_polite_leave_is_seen_at_the_next_look()
    {
        MembershipAgent a = Agent(), b = Agent(), c = Agent();
        Run(100, a, b, c);
        a.Leave();
        Run(20, b, c);
        Assert.Equal([b.Id, c.Id], Ids(c));
    }

    [Fact]
    public void A_reported_dead_member_is_lost_long_before_its_lease_and_a_living_one_is_not()
    {
        MembershipAgent a = Agent(), b = Agent(), c = Agent();
        Run(100, a, b, c);
        a.Beat();
        b.Beat();
        // b is dead, c lives; a reports both, again and again.
        for (var i = 0; i < 8; i++)
        {
            a.Report(b.Id);
            a.Report(c.Id);
            Run(20, a, c);
        }
        Assert.Equal([a.Id, c.Id], Ids(c));
        Run(1000, a, c);
        Assert.Equal(2, a.Current!.Number);
    }

    [Fact]
    public void A_process_that_hung_comes_back_under_a_new_id()
    {
        MembershipAgent a = Agent(), b = Agent(), c = Agent();
        Run(100, a, b, c);
        var old = b.Id;
        Run(600, a, c);
        Assert.Equal(2, a.Current!.Members.Count);
        Run(200, a, b, c);
        Assert.NotEqual(old, b.Id);
        Assert.Equal([a.Id, c.Id, b.Id], Ids(b));
        Assert.Equal(3, b.Current!.Number);
    }

    [Fact]
    public void Newcomers_that_come_together_are_admitted_in_one_change()
    {
        MembershipAgent a = Agent(), b = Agent(), c = Agent();
        Run(100, a, b, c);
        var d = Agent();
        Run(60, a, b, c, d);
        var e = Agent();
        Run(60, a, b, c, d, e);
        Assert.Equal(1, a.Current!.Number);
        Run(100, a, b, c, d, e);
        Assert.Equal(2, a.Current!.Number);
        Assert.Equal([a.Id, b.Id, c.Id, d.Id, e.Id], Ids(e));
    }

    [Fact]
    public void A_group_that_broke_without_a_loss_gets_one_new_epoch()
    {
        MembershipAgent a = Agent(), b = Agent(), c = Agent();
        Assert.False(a.Advance(0, "too early"));
        Run(100, a, b, c);
        Assert.Single(new[] { a, b, c }, agent => agent.Advance(1, "a timeout"));
        Run(40, a, b, c);
        Assert.Equal((2L, "a timeout"), (c.Current!.Number, c.Current.Reason));
        Assert.Equal([a.Id, b.Id, c.Id], Ids(c));
    }

    [Fact]
    public void Too_few_members_make_no_epoch()
    {
        var strict = options with { Expected = 2, Minimum = 2 };
        MembershipAgent a = new(store, strict, time), b = new(store, strict, time);
        a.Join();
        b.Join();
        Run(100, a, b);
        Run(800, a);
        Assert.Equal(1, a.Current!.Number);
        var c = new MembershipAgent(store, strict, time);
        c.Join();
        Run(800, a, c);
        Assert.Equal([a.Id, c.Id], Ids(c));
    }

    [Fact]
    public void Options_that_contradict_themselves_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new MembershipAgent(store, options with { Minimum = 4 }).Join());
        Assert.Throws<ArgumentException>(() => new MembershipAgent(store, options with { Lease = options.Poll }).Join());
        Assert.Throws<ArgumentException>(() => new MembershipAgent(store, options with { Run = "" }).Join());
    }
}
