using Perennial.Core;
using Perennial.Resilience.Survival;

namespace Perennial.Resilience.Tests.Survival;

/// <summary>The vectors of paper 02 §6 and §7.</summary>
public sealed class SurvivalTests
{
    private const double Rate = 1e-4;
    private const int Nodes = 512;

    [Theory]
    [InlineData(24, 1, 0, 0.29264, 5)]
    [InlineData(24, 8, 1, 0.98985, 5)]
    [InlineData(24, 4, 1, 0.99561, 5)]
    [InlineData(24, 2, 1, 0.99853, 5)]
    [InlineData(24, 8, 2, 0.999951, 6)]
    [InlineData(168, 1, 0, 0.00018, 5)]
    [InlineData(168, 8, 1, 0.62692, 5)]
    [InlineData(168, 8, 2, 0.98456, 5)]
    public void Survival_has_the_values_of_the_paper(double hours, int n, int m, double expected, int digits) =>
        Assert.Equal(expected, SurvivalModel.Cluster(NodeSurvival.Exponential(Rate), hours, Nodes, n, m), digits);

    [Fact]
    public void Weibull_survival_has_the_value_of_the_paper() =>
        Assert.Equal(0.95837, SurvivalModel.Cluster(NodeSurvival.Weibull(Rate, 1.3), 168, Nodes, 8, 1), 5);

    [Fact]
    public void Mean_time_to_loss_has_the_values_of_the_paper()
    {
        Assert.Equal(19.53, SurvivalModel.MeanTimeToLoss(Rate, 0.1, Nodes, 1, 0), 2);
        Assert.Equal(279_060, SurvivalModel.MeanTimeToLoss(Rate, 0.1, Nodes, 8, 1), 279_060 * 5e-6);
        Assert.Equal(4.651e9, SurvivalModel.MeanTimeToLoss(Rate, 0.1, Nodes, 8, 2), 0.0005e9);
        Assert.Equal(1, SurvivalModel.MeanTimeToLossApproximately(Rate, 0.1, Nodes, 8, 2) / 4.651e9, 0.001);
        Assert.Equal(double.PositiveInfinity, SurvivalModel.MeanTimeToLoss(0, 0.1, Nodes, 8, 2));
    }

    [Theory]
    [InlineData(0.5, 19.53, 265, 1)]
    [InlineData(60, 19.53, 2905, 1)]
    [InlineData(60, 279_060, 96 * 3600, 2000)]
    public void The_intervals_are_those_of_the_paper_and_waste_least(double overhead, double hours, double expected, double within)
    {
        var best = Intervals.Optimal(overhead, hours * 3600);
        Assert.Equal(expected, best, within);
        Assert.True(Intervals.Waste(best, overhead, hours * 3600, 10) < Intervals.Waste(best * 1.01, overhead, hours * 3600, 10));
        Assert.True(Intervals.Waste(best, overhead, hours * 3600, 10) < Intervals.Waste(best * 0.99, overhead, hours * 3600, 10));
    }

    /// <summary>Nodes fail and are repaired at random; the mean of 100,000 lives must be within 1.5 % of the formula (about four standard errors).</summary>
    [Theory]
    [InlineData(4, 1, 10)]
    [InlineData(5, 2, 3)]
    public void Simulated_groups_live_as_long_as_the_formula_says(int n, int m, double repairsPerFailure)
    {
        const int Trials = 100_000;
        var draw = 0UL;
        double Exponential(double rate) => -Math.Log(1 - Philox.Uniform(11, RandomPurpose.Statistics, (ulong)n, draw++)) / rate;
        var sum = 0.0;
        for (var trial = 0; trial < Trials; trial++)
            for (var lost = 0; lost <= m;)
            {
                // One repair at a time, as the recursion has it.
                var (fail, mend) = (Exponential(n - lost), lost == 0 ? double.PositiveInfinity : Exponential(repairsPerFailure));
                sum += Math.Min(fail, mend);
                lost += fail < mend ? 1 : -1;
            }
        Assert.Equal(1, sum / Trials / SurvivalModel.MeanTimeToLoss(1, 1 / repairsPerFailure, n, n, m), 0.015);
    }

    [Fact]
    public void Small_probabilities_are_exact()
    {
        var node = NodeSurvival.Exponential(1e-12);
        Assert.Equal(28e-24, SurvivalModel.GroupLoss(node, 1, 8, 1), 1e-33);
        Assert.Equal(1e-12, node.Dead(1), 1e-20);
    }

    [Fact]
    public void A_group_in_one_domain_dies_with_it_and_a_spread_one_does_not()
    {
        var (node, domain) = (NodeSurvival.Exponential(Rate), NodeSurvival.Exponential(1e-5));
        var (spread, packed) = SurvivalModel.ClusterInDomains(node, domain, 24, Nodes, 8, 1);
        Assert.InRange(packed, 0, spread);
        Assert.Equal(SurvivalModel.Cluster(node, 24, Nodes, 8, 1) * Math.Exp(-1e-5 * 24 * 64), packed, 9);
        Assert.Equal(SurvivalModel.Cluster(NodeSurvival.Exponential(1.1e-4), 24, Nodes, 8, 1), spread, 9);
    }
}
