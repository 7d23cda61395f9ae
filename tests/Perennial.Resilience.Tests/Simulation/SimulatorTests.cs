using CsCheck;
using Perennial.Resilience.Simulation;

namespace Perennial.Resilience.Tests.Simulation;

public sealed class SimulatorTests
{
    [Fact]
    public void Without_faults_goodput_is_exactly_one_less_the_overheads()
    {
        // 100 steps of 10 s, a snapshot of 0.5 s after each and a checkpoint of 50 s after all: 1,100 s, 864 times in 11 days.
        var options = Studies.Plain(Studies.Elastic(Studies.Instant), Studies.Restart(Studies.Instant)) with
        {
            Days = 11,
            Failures = new() { AcceleratorHours = 0, Correlated = 0 },
            Protection = new() { SnapshotStallSeconds = 0.5, CheckpointStallSeconds = 50, CheckpointMinutes = 1_000 / 60.0 },
        };
        var report = Simulator.Run(options);
        Assert.Equal(1_000.0 / 1_100, report.Points[0].Goodput, 12);
        // Without snapshots a cycle is 1,050 s; 11 days end inside one.
        Assert.Equal(1_000.0 / 1_050, report.Points[1].Goodput, 2e-5);
        Assert.All(report.Points, point => Assert.Equal((0.0, 0.0), (point.Faults, point.RecoverySeconds.P99)));
        Assert.Equal(86_400.0 * 4 * 32 * 4 * 4_096, report.Points[0].Tokens);
    }

    // Faults every 4 hours, 60 s to restart, 30 s to save.
    private static double Saved(double minutes, double days = 250, int repetitions = 8) => Simulator.Run(Studies.Plain(Studies.Restart(Studies.Instant with { Group = 60 })) with
    {
        Days = days,
        Repetitions = repetitions,
        Failures = new() { AcceleratorHours = 4 * 16, Software = 1, Correlated = 0 },
        Job = new() { Stages = 4, StateBytes = 0, StepSeconds = 2 },
        Protection = new() { CheckpointMinutes = minutes, CheckpointStallSeconds = 30 },
    }).Points[0].Goodput;

    [Fact]
    public void The_checkpoint_interval_is_best_where_Young_and_Daly_say()
    {
        const double between = 4 * 3_600, stall = 30, restart = 60;
        var optimum = Math.Sqrt(2 * stall * between) / 60;
        foreach (var factor in new[] { 0.25, 0.5, 1, 2, 4 })
        {
            var interval = factor * optimum * 60;
            // Daly's exact expectation for exponential faults, which may strike while saving and restarting too.
            var exact = interval / (between * Math.Exp(restart / between) * (Math.Exp((interval + stall) / between) - 1));
            // A fault costs half an interval on average: so much more noise where intervals are long.
            Assert.Equal(exact, Saved(factor * optimum), 0.0015 * Math.Max(1, factor));
        }
        // The optimum is flat: half and double of it must lose, and it must beat what lies near within the noise.
        Assert.True(Saved(optimum) > Saved(optimum / 2) && Saved(optimum) > Saved(optimum * 2));
        Assert.True(Saved(optimum) > Math.Max(Saved(optimum * 0.8), Saved(optimum * 1.25)) - 0.001);
        // An interval of 0 asks for that optimum.
        Assert.Equal(Saved(optimum), Saved(0), 0.001);
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(0.7)]
    [InlineData(3.0)]
    public void As_many_nodes_are_away_as_renewal_theory_says(double shape)
    {
        // Lives of 100 h and repairs of 10 h: 1 of 11 nodes is away in the long run, whatever the law of the lives.
        var (shape4, hours) = (new SimulationOptions { Job = new() { Stages = 4 } }.Shape(100), 8_000.0);
        var pool = new NodePool(new() { RepairHours = 10, SpareStartSeconds = 0 }, shape4, spares: 0, new(1, 2));
        var faults = new RandomFaults(new() { AcceleratorHours = 100, Shape = shape, Software = 0, Correlated = 0 }, 1, shape4.Ranks, new(1, 1));
        var (now, away, count) = (0.0, 0.0, 0);
        while (true)
        {
            var next = Math.Min(faults.Next, pool.NextArrival);
            away += (Math.Min(next, hours * 3_600) - now) * (shape4.Ranks - pool.Now.Live);
            if (next >= hours * 3_600) break;
            now = next;
            if (next == pool.NextArrival)
            {
                pool.Arrive();
                foreach (var rank in pool.Join()) faults.Started(rank, now);
                continue;
            }
            var fault = faults.Take();
            count++;
            pool.Lose(Assert.Single(fault.Ranks), now, fault.Software);
        }
        Assert.Equal(400 / 11.0, away / (hours * 3_600), 0.8);
        Assert.Equal(400 * hours / 110, count, 400 * hours / 110 * 0.03);
    }

    [Fact]
    public void Weibull_lives_have_the_mean_that_was_asked_for()
    {
        Assert.Equal(Math.Sqrt(Math.PI) / 2, RandomFaults.Gamma(1.5), 1e-9);
        Assert.Equal(120, RandomFaults.Gamma(6), 1e-6);
    }

    [Fact]
    public void The_parts_of_the_time_sum_to_the_whole() =>
        Gen.Select(Gen.ULong, Gen.Int[1, 3], Gen.Double[20, 2_000], Gen.Double[0, 1], Gen.Double[0, 1], Gen.Int[1, 7], Gen.Double[0.5, 2]).Sample((seed, stages, hours, software, correlated, snapshots, shape) =>
        {
            var report = Simulator.Run(new SimulationOptions
            {
                Seed = seed,
                Accelerators = [24],
                Days = 3,
                Repetitions = 1,
                Cluster = new() { PerNode = 2, RepairHours = 3 },
                Failures = new() { AcceleratorHours = hours, Software = software, Correlated = correlated, Shape = shape },
                Job = new() { Stages = stages },
                Protection = new() { SnapshotEverySteps = snapshots },
            });
            foreach (var point in report.Points)
            {
                Assert.Equal(1, point.Shares.Total, 1e-6);
                Assert.InRange(point.Goodput, 0, 1);
                Assert.Equal(point.Goodput, point.Shares.Useful, 9);
                double[] parts = [point.Shares.Degraded, point.Shares.Stalls, point.Shares.Down, point.Shares.Lost];
                Assert.All(parts, part => Assert.True(part >= -1e-9));
            }
        }, iter: 60);

    [Fact]
    public void The_same_seed_gives_the_same_report_and_a_million_accelerators_are_no_effort()
    {
        var options = new SimulationOptions { Accelerators = [1_000_000], Days = 0.25, Repetitions = 1 };
        var report = Simulator.Run(options);
        Assert.Equal(report.ToJson(), Simulator.Run(options).ToJson());
        Assert.NotEqual(report.ToJson(), Simulator.Run(options with { Seed = 2 }).ToJson());
        // A fault every three minutes: 120 in six hours, give or take.
        Assert.All(report.Points, point => Assert.InRange(point.Faults, 80, 160));
        var goodput = report.Points.ToDictionary(point => point.Policy, point => point.Goodput);
        Assert.True(goodput["elastic"] > goodput["drop-replica"] && goodput["drop-replica"] > goodput["restart"]);
        Assert.Equal(["restart", "drop-replica", "reroute", "elastic"], report.Series().Select(series => series.Name));
    }

    [Fact]
    public void Fewer_faults_are_better_and_spares_help()
    {
        double Goodput(double hours, double spares) => Simulator.Run(new SimulationOptions
        {
            Accelerators = [2_000],
            Days = 20,
            Policies = [Studies.Reroute(new() { Spread = 0 })],
            Cluster = new() { Spares = spares, RepairHours = 48 },
            Failures = new() { AcceleratorHours = hours },
        }).Points[0].Goodput;
        Assert.True(Goodput(50_000, 0.02) > Goodput(5_000, 0.02));
        Assert.True(Goodput(5_000, 0.2) > Goodput(5_000, 0));
    }
}
