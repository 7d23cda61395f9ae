using CsCheck;
using Perennial.Core;
using Perennial.Resilience.Chaos;

namespace Perennial.Resilience.Tests;

public class ChaosPlanTests
{
    [Fact]
    public void Reads_what_it_is_told()
    {
        var plan = ChaosPlan.Parse("kill=15s, hang=2m,pair=3,for=500ms,seed=7,most=4");
        Assert.Equal([(ChaosKind.Kill, TimeSpan.FromSeconds(15)), (ChaosKind.Stop, TimeSpan.FromMinutes(2))], plan.Every.Select(pair => (pair.Key, pair.Value)));
        Assert.Equal((3, TimeSpan.FromMilliseconds(500), 7UL, 4), (plan.Pair, plan.For, plan.Seed, plan.Most));
        Assert.Equal(4, plan.Faults().Count());
    }

    [Fact]
    public void A_fault_may_wait_for_a_step()
    {
        var plan = ChaosPlan.Parse("outage=@90,kill=@40,stop=20s,nodes=3,most=2");
        Assert.Equal([(40L, ChaosKind.Kill, 1), (90L, ChaosKind.Outage, 3)], plan.StepFaults().Select(fault => (fault.Step!.Value, fault.Kind, fault.Count)));
        Assert.Equal(plan.StepFaults(), plan.StepFaults());
        Assert.All(plan.Faults(), fault => Assert.Equal((ChaosKind.Stop, null), (fault.Kind, fault.Step)));
        Assert.Empty(ChaosPlan.Parse("kill=@40").Faults());
    }

    [Fact]
    public void Any_means_every_kind_in_turn_at_the_stated_rate_of_all()
    {
        var faults = ChaosPlan.Parse("any=2s,nodes=2,most=300,seed=5").Faults().ToList();
        Assert.Equal(Enum.GetValues<ChaosKind>().Order(), faults.Select(fault => fault.Kind).Distinct().Order());
        Assert.InRange(faults.Average(fault => fault.After.TotalSeconds), 1.8, 2.2);
        Assert.All(faults, fault => Assert.Equal(fault.Kind is ChaosKind.Node or ChaosKind.Outage ? 2 : 1, fault.Count));
    }

    [Theory]
    [InlineData("", "names no fault")]
    [InlineData("seed=1", "names no fault")]
    [InlineData("kill=15", "a time such as 15s")]
    [InlineData("kill=-1s", "a time such as 15s")]
    [InlineData("kill=@x", "a whole number is expected")]
    [InlineData("kill=1s,pair=x", "a whole number is expected")]
    [InlineData("burn=1s", "burn=1s: unknown")]
    public void Refuses_the_rest(string text, string says)
    {
        var error = Assert.Throws<PerennialException>(() => ChaosPlan.Parse(text));
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Is_a_function_of_its_seed_with_the_stated_rate()
    {
        (from seed in Gen.ULong[0, 1_000_000] from pair in Gen.Int[0, 4] select new ChaosPlan { Every = new Dictionary<ChaosKind, TimeSpan> { [ChaosKind.Kill] = TimeSpan.FromSeconds(10) }, Seed = seed, Pair = pair, Most = 200 }).Sample(plan =>
        {
            var faults = plan.Faults().ToList();
            Assert.Equal(faults, plan.Faults());
            Assert.All(faults, fault => Assert.InRange(fault.After.TotalSeconds, 7, 13));
            Assert.All(faults, fault => Assert.InRange(fault.Draw, 0, 1));
            Assert.InRange(faults.Average(fault => fault.After.TotalSeconds), 9.2, 10.8);
            Assert.Equal(plan.Pair == 0 ? 0 : 200 / plan.Pair, faults.Count(fault => fault.Count == 2));
        }, iter: 50);
    }

    [Theory]
    [InlineData("outage=@9,nodes=2", 4, 2, "--nodes 3 or more")]
    [InlineData("node=5s", 4, 1, "--nodes 2 or more")]
    [InlineData("kill=5s", 1, 1, "--workers 2 or more")]
    [InlineData("outage=@9,nodes=2", 4, 3, null)]
    [InlineData("any=5s", 2, 0, null)]
    [InlineData("all=@3", 1, 0, null)]
    public void A_fault_that_could_never_happen_is_told(string plan, int workers, int nodes, string? says)
    {
        var reason = ChaosPlan.Parse(plan).WhyNever(workers, nodes);
        if (says is null) Assert.Null(reason);
        else Assert.Contains(says, reason, StringComparison.Ordinal);
    }
}
