using CsCheck;
using Perennial.Resilience.Partition;

namespace Perennial.Resilience.Tests.Partition;

public sealed class DegradedStepTests
{
    // The paper file's D = 4, P = 4, M = 32, L = 32 with b = 3, so that the shares of three and of two survivors are whole.
    private static readonly PipelineShape Shape = new(4, 32, 3, LayerCost.Alike(32, new(1.0 / 3, 1, 1)), StagePartition.Even(32, 4));

    private static double Factor(DegradedStep? step) => step!.Seconds / Shape.WholeStepSeconds;

    [Theory]
    [InlineData("one rank", new[] { 0, 0 }, 1.314, 1.314, 1.305, 1.118)]
    [InlineData("two stages, two paths", new[] { 0, 0, 1, 1 }, 1.914, 1.314, 1.314, 1.164)]
    [InlineData("two of one stage", new[] { 0, 0, 1, 0 }, 1.914, 1.914, 1.914, 1.236)]
    public void The_papers_relative_step_times(string name, int[] ranks, double drop, double reroute, double resize, double move)
    {
        var who = Occupancy.Without(Shape, [.. ranks.Chunk(2).Select(rank => (rank[0], rank[1]))]);
        Assert.Equal(280, Shape.WholeStepSeconds, 9);
        Assert.Equal(drop, Factor(DegradedSteps.DropReplica(Shape, who)), 0.0006);
        Assert.Equal(reroute, Factor(DegradedSteps.Reroute(Shape, who)), 0.0006);
        Assert.Equal(resize, Factor(DegradedSteps.Resize(Shape, who)), 0.0006);
        // In the third case many cuts have the bottleneck 10; ours moves the fewest layers (5/10/9/8), the paper file's is 4/9/9/10.
        Assert.Equal(move, Factor(DegradedSteps.ResizeAndMove(Shape, who)), name == "two of one stage" ? 0.004 : 0.0006);
        // The paper file's thresholds.
        Assert.True(drop / Factor(DegradedSteps.Elastic(Shape, who)) >= 1.1);
        Assert.True(reroute / Factor(DegradedSteps.Elastic(Shape, who)) >= 1.1);
        if (ranks.Length > 2) Assert.True(drop / Factor(DegradedSteps.Elastic(Shape, who)) >= 1.5);
    }

    [Theory]
    [InlineData(new[] { 0, 0 }, new[] { 6, 8, 9, 9 }, 1.118)]
    [InlineData(new[] { 0, 0, 1, 1 }, new[] { 7, 7, 9, 9 }, 1.164)]
    [InlineData(new[] { 0, 0, 1, 0 }, new[] { 4, 9, 9, 10 }, 1.236)]
    public void The_papers_cuts_have_the_bottleneck_that_we_find(int[] ranks, int[] counts, double factor)
    {
        var who = Occupancy.Without(Shape, [.. ranks.Chunk(2).Select(rank => (rank[0], rank[1]))]);
        var problem = new PartitionProblem(Shape.Layers, who.Stages, 12);
        var theirs = StagePartition.OfCounts(counts);
        Assert.Equal(MinimaxPartition.StageSeconds(problem, theirs).Max(), MinimaxPartition.StageSeconds(problem, MinimaxPartition.Find(problem, Shape.Partition)!).Max(), 9);
        var lengths = who.Stages.Select(stage => stage.Slot(12).Length).ToList();
        Assert.Equal(factor, Shape.StepSeconds(theirs, lengths, 32) / Shape.WholeStepSeconds, 0.0006);
    }

    [Fact]
    public void Twelve_layers_are_too_coarse_to_move()
    {
        var coarse = Shape with { Layers = LayerCost.Alike(12, new(1)), Partition = StagePartition.Even(12, 4) };
        var who = Occupancy.Without(coarse, (0, 0));
        Assert.Equal(1.03, DegradedSteps.Reroute(coarse, who)!.Seconds / DegradedSteps.ResizeAndMove(coarse, who)!.Seconds, 0.03);
    }

    [Fact]
    public void A_restart_packs_the_survivors_into_whole_paths()
    {
        var who = Occupancy.Without(Shape, (0, 0), (1, 1));
        Assert.Equal(1.314, Factor(DegradedSteps.Repack(Shape, who)), 0.0006);
        Assert.Null(DegradedSteps.DropReplica(Shape, Occupancy.Without(Shape, (0, 0), (1, 1), (2, 2), (3, 3))));
        Assert.Null(DegradedSteps.Reroute(Shape, Occupancy.Without(Shape, (0, 2), (1, 2), (2, 2), (3, 2))));
        Assert.Null(DegradedSteps.Elastic(Shape, Occupancy.Without(Shape, (0, 2), (1, 2), (2, 2), (3, 2))));
    }

    [Fact]
    public void Resizing_alone_loses_to_rerouting_where_micro_batches_are_small_and_paths_many()
    {
        // One sample a micro-batch: a survivor that takes a second one doubles every wave, while one slot more of 32 costs a 32nd.
        var wide = Shape with { Paths = 100, Samples = 1 };
        var who = Occupancy.Without(wide, (0, 0));
        Assert.True(DegradedSteps.Resize(wide, who)!.Seconds > 1.5 * DegradedSteps.Reroute(wide, who)!.Seconds);
        Assert.Equal(DegradedSteps.Reroute(wide, who)!.Seconds, DegradedSteps.Elastic(wide, who)!.Seconds);
    }

    [Fact]
    public void Elastic_is_never_slower_than_the_others_and_no_way_gains_by_a_loss() =>
        Gen.Select(Gen.Int[2, 6], Gen.Int[2, 4], Gen.Int[1, 12], Gen.Int[1, 4], Gen.Int[0, 3].List[0, 4]).Sample((paths, stages, waves, samples, raw) =>
        {
            var shape = new PipelineShape(paths, waves, samples, LayerCost.Alike(8, new(1)), StagePartition.Even(8, stages));
            var who = Occupancy.Without(shape, [.. raw.Select((value, i) => ((value + i) % paths, (value * 7 + i) % stages)).Distinct()]);
            DegradedStep?[] ways = [DegradedSteps.Resize(shape, who), DegradedSteps.ResizeAndMove(shape, who), DegradedSteps.Reroute(shape, who), DegradedSteps.DropReplica(shape, who), DegradedSteps.Repack(shape, who)];
            foreach (var way in ways.OfType<DegradedStep>()) Assert.True(way.Seconds >= shape.WholeStepSeconds * (who.Live == shape.Ranks ? 1 - 1e-9 : 0.5));
            foreach (var way in ways.Take(4).OfType<DegradedStep>()) Assert.True(DegradedSteps.Elastic(shape, who)!.Seconds <= way.Seconds);
            if (ways[3] is { } drop) Assert.True(ways[2]!.Seconds <= drop.Seconds + 1e-9);
            if (who.Live == shape.Ranks) Assert.All(ways, way => Assert.Equal(shape.WholeStepSeconds, way!.Seconds, 1e-9));
        }, iter: 300);

    [Fact]
    public void Slow_ranks_get_fewer_samples_and_their_stage_fewer_layers()
    {
        var who = new Occupancy([StageRanks.OfSpeeds(0.5, 1, 1, 1), new(4), new(4), new(4)], 4);
        var planned = DegradedSteps.ResizeAndMove(Shape, who)!;
        Assert.True(planned.Partition.Counts[0] < 8);
        Assert.Equal(2 * Shape.WholeStepSeconds, DegradedSteps.Repack(Shape, who)!.Seconds, 9);
        Assert.True(planned.Seconds < 1.2 * Shape.WholeStepSeconds);
    }
}
