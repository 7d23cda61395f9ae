using CsCheck;
using Perennial.Resilience.Partition;

namespace Perennial.Resilience.Tests.Partition;

public sealed class PartitionTests
{
    private static Gen<double> Among(params double[] values) => Gen.Int[0, values.Length - 1].Select(i => values[i]);

    private static readonly Gen<PartitionProblem> Problems =
        from stages in Gen.Int[1, 4]
        from layers in Gen.Int[stages, 9]
        from costs in Gen.Select(Gen.Int[1, 9], Gen.Int[1, 5], Gen.Int[0, 3], (seconds, bytes, activation) => new LayerCost(seconds, bytes, bytes, activation)).Array[layers]
        from speeds in Among(0.5, 1.0, 1.0, 1.25).Array[1, 4].Array[stages]
        from capacity in Gen.Int[4, 40]
        from limited in Gen.Bool
        from empty in Gen.Bool
        from samples in Gen.Int[1, 12]
        select new PartitionProblem(costs, [.. speeds.Select(ranks => StageRanks.OfSpeeds(ranks) with { CapacityBytes = limited ? capacity : null })], samples) { AllowEmpty = empty };

    private static IEnumerable<StagePartition> All(PartitionProblem problem)
    {
        IEnumerable<int[]> Ends(int stage, int from) => stage == problem.Stages.Count - 1
            ? [[problem.Layers.Count]]
            : Enumerable.Range(from, problem.Layers.Count - from + 1).SelectMany(end => Ends(stage + 1, end).Select(rest => (int[])[end, .. rest]));
        return Ends(0, 0).Select(ends => new StagePartition(ends)).Where(partition => problem.AllowEmpty || partition.Counts.All(count => count > 0));
    }

    // The slowest stage, written down anew from the definition.
    private static double Bottleneck(PartitionProblem problem, StagePartition partition) => Enumerable.Range(0, problem.Stages.Count).Max(stage =>
    {
        var ranks = problem.Stages[stage];
        var layers = problem.Layers.Take(partition.Ends[stage]).Skip(partition.First(stage)).ToList();
        var split = WaveShares.Split(problem.Samples, ranks.Speeds!);
        var bytes = layers.Sum(layer => (double)layer.StateBytes) / ranks.Count + layers.Sum(layer => layer.ActivationBytes) * split.Counts.Max() * (problem.Stages.Count - stage);
        return bytes > ranks.CapacityBytes ? double.PositiveInfinity : layers.Sum(layer => layer.Seconds) * split.Counts.Zip(ranks.Speeds!, (count, speed) => count / speed).Max();
    });

    private static double Moved(PartitionProblem problem, StagePartition from, StagePartition to) => MigrationPlan.Between(from, to, problem.Layers).StateBytes;

    [Fact]
    public void The_cut_is_the_best_there_is_and_moves_the_least()
    {
        var seen = 0;
        Gen.Select(Problems, Gen.Int[0, 1_000]).Sample((problem, pick) =>
        {
            var all = All(problem).ToList();
            var best = all.Min(partition => Bottleneck(problem, partition));
            if (double.IsPositiveInfinity(best))
            {
                Assert.Null(MinimaxPartition.Find(problem));
                return;
            }
            Interlocked.Increment(ref seen);
            Assert.Equal(best, Bottleneck(problem, MinimaxPartition.Find(problem)!), 1e-9);
            var present = all[pick % all.Count];
            var found = MinimaxPartition.Find(problem, present)!;
            Assert.Equal(best, Bottleneck(problem, found), 1e-9);
            Assert.Equal(all.Where(partition => Bottleneck(problem, partition) <= best + 1e-9).Min(partition => Moved(problem, present, partition)), Moved(problem, present, found));
            if (Bottleneck(problem, present) <= best) Assert.Equal(present, found);
        }, iter: 400);
        Assert.True(seen > 200);
    }

    [Fact]
    public void A_migration_names_exactly_the_layers_whose_stage_changes()
    {
        var layers = LayerCost.Alike(8, new(1, 100, 10));
        var plan = MigrationPlan.Between(StagePartition.OfCounts(2, 2, 2, 2), StagePartition.OfCounts(1, 2, 2, 3), layers);
        Assert.Equal([(1, 0, 1), (3, 1, 2), (5, 2, 3)], plan.Moves.Select(move => (move.Layer, move.From, move.To)));
        Assert.Equal(300, plan.StateBytes);
        Assert.Empty(MigrationPlan.Between(StagePartition.Even(8, 4), StagePartition.Even(8, 4), layers).Moves);
        // Each pair of stages has its own links: 100 bytes over 3 links of 10 bytes a second.
        Assert.Equal(100 / 30.0, plan.ExposedSeconds([3, 4, 4, 4], 10, blocking: true), 12);
        Assert.Equal(10 / 30.0, plan.ExposedSeconds([3, 4, 4, 4], 10, blocking: false), 12);
        Assert.True(MigrationPlan.Pays(2, 1.5, 100, 49));
        Assert.False(MigrationPlan.Pays(2, 1.5, 100, 50));
    }

    [Fact]
    public void The_papers_wave_is_sent_in_six_messages()
    {
        var (whole, damaged) = (WaveShares.Split(12, [1, 1, 1, 1]), WaveShares.Split(12, [1, 1, 1]));
        Assert.Equal([4, 4, 4], damaged.Counts);
        SampleTransfer[] expected = [new(0, 0, 0, 3), new(1, 0, 3, 1), new(1, 1, 4, 2), new(2, 1, 6, 2), new(2, 2, 8, 1), new(3, 2, 9, 3)];
        Assert.Equal(expected, WaveShares.Map(whole, damaged));
        Assert.Throws<ArgumentException>(() => WaveShares.Map(whole, WaveShares.Split(11, [1])));
    }

    [Fact]
    public void A_wave_is_split_as_fast_as_can_be_and_mapped_once() =>
        Gen.Select(Gen.Int[0, 14], Among(0.4, 0.5, 1.0, 1.3).Array[1, 4], Among(0.5, 1.0).Array[1, 4]).Sample((samples, speeds, next) =>
        {
            var split = WaveShares.Split(samples, speeds);
            Assert.Equal(split.Length(speeds), WaveShares.Length(samples, [.. speeds.GroupBy(speed => speed).Select(alike => new SpeedClass(alike.Key, alike.Count()))]), 1e-9);
            Assert.Equal(samples, split.Samples);
            var best = Splits(samples, speeds.Length).Min(counts => counts.Zip(speeds, (count, speed) => count / speed).Max());
            Assert.Equal(best, split.Length(speeds), 1e-9);
            if (speeds.All(speed => speed == 1))
            {
                Assert.All(split.Counts, count => Assert.InRange(count, samples / speeds.Length, (samples + speeds.Length - 1) / speeds.Length));
                Assert.Equal(new StageRanks(speeds.Length).Slot(samples), StageRanks.OfSpeeds(speeds).Slot(samples));
            }
            var other = WaveShares.Split(samples, next);
            var map = WaveShares.Map(split, other);
            Assert.Equal(Enumerable.Range(0, samples), map.SelectMany(transfer => Enumerable.Range(transfer.First, transfer.Count)));
            Assert.Equal(split.Counts, Enumerable.Range(0, speeds.Length).Select(rank => map.Where(transfer => transfer.From == rank).Sum(transfer => transfer.Count)));
            Assert.Equal(other.Counts, Enumerable.Range(0, next.Length).Select(rank => map.Where(transfer => transfer.To == rank).Sum(transfer => transfer.Count)));
            Assert.True(map.Count <= speeds.Length + next.Length - 1);
        }, iter: 400);

    private static IEnumerable<int[]> Splits(int samples, int ranks) => ranks == 1
        ? [[samples]]
        : Enumerable.Range(0, samples + 1).SelectMany(first => Splits(samples - first, ranks - 1).Select(rest => (int[])[first, .. rest]));

    [Fact]
    public void A_raised_clock_meets_the_other_stages_and_no_more()
    {
        var stage = ClockedStage.Fit(2.0, (2.0, 10), (1.0, 16));
        Assert.Equal((6.0, 4.0), (stage.ComputeSeconds, stage.OtherSeconds));
        Assert.Equal(9, stage.Seconds(stage.Raise(9, 3)), 12);
        Assert.Equal(2.0, stage.Raise(11, 3));
        Assert.Equal(3.0, stage.Raise(4, 3));
        Assert.Throws<ArgumentException>(() => ClockedStage.Fit(2, (1, 3), (1, 4)));
    }
}
