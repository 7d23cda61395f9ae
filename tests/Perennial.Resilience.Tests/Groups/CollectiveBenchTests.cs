using CsCheck;
using Perennial.Resilience.Groups;

namespace Perennial.Resilience.Tests.Groups;

public sealed class CollectiveBenchTests
{
    [Fact]
    public void A_line_is_found_again() =>
        Gen.Select(Gen.Double[1e-6, 1e-2], Gen.Double[1e8, 1e11]).Sample((latency, bandwidth) =>
        {
            var cost = CollectiveCost.Fit("x", [.. CollectiveBench.Sizes.Select(size => ((double)size, latency + size / bandwidth))]);
            Assert.Equal(1, cost.Latency / latency, 1e-3);
            Assert.Equal(1, cost.Bandwidth / bandwidth, 1e-3);
            Assert.True(cost.Error < 1e-6);
            Assert.Equal(latency + 1e6 / bandwidth, cost.Seconds(1e6), 1e-6);
        });

    [Fact]
    public void Latency_is_never_negative_and_one_size_is_no_line()
    {
        var cost = CollectiveCost.Fit("x", [(1000, 1), (2000, 3), (3000, 5)]);
        Assert.Equal(0, cost.Latency);
        Assert.True(cost.Bandwidth > 0);
        Assert.Throws<ArgumentException>(() => CollectiveCost.Fit("x", [(1, 1), (1, 2)]));
    }

    [Fact]
    public void Every_operation_is_measured_at_every_size()
    {
        foreach (var report in Ranks.All(new ThreadHub(), "bench/", 3, group => CollectiveBench.Measure(group, [1200, 4800], CollectiveBench.Operations, runs: 3)))
        {
            Assert.Equal(10, report.Timings.Count);
            Assert.Equal(CollectiveBench.Operations, report.Costs.Select(cost => cost.Operation));
            Assert.All(report.Timings, timing => Assert.True(timing.Median > 0 && timing.Percentile95 >= timing.Median && timing.Runs == 3));
            Assert.True(report.CopyBandwidth > 0);
        }
    }

    [Fact]
    public void Bus_bandwidth_counts_what_must_be_sent()
    {
        Assert.Equal(1.5 * 1000, new CollectiveTiming("all-reduce", 4, 1000, 1, 1, 1).BusBandwidth);
        Assert.Equal(0.75 * 1000, new CollectiveTiming("all-gather", 4, 1000, 1, 1, 1).BusBandwidth);
        Assert.Equal(1000, new CollectiveTiming("broadcast", 4, 1000, 1, 1, 1).BusBandwidth);
    }
}
