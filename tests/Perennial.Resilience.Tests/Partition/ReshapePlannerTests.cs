using CsCheck;
using Perennial.Resilience.Layouts;
using Perennial.Resilience.Partition;

namespace Perennial.Resilience.Tests.Partition;

/// <summary>Which shape those who are left go on in, and who takes which place of it.</summary>
public sealed class ReshapePlannerTests
{
    private static IReadOnlyList<LayerNeed> Alike(int layers) => [.. Enumerable.Repeat(new LayerNeed(1, 8, 8, 1), layers)];

    private static readonly Gen<ReshapeProblem> Problems =
        from data in Gen.Int[1, 4]
        from tensor in Gen.Int[1, 3]
        from stages in Gen.Int[1, 4]
        from zero in Gen.Int[0, 3].Where(zero => zero != 2)
        from layers in Gen.Int[stages, 9]
        from needs in Gen.Select(Gen.Int[1, 9], Gen.Int[1, 9], (seconds, bytes) => new LayerNeed(seconds, bytes, 2 * bytes, bytes)).Array[layers]
        from processes in Gen.Int[0, data * tensor * stages + 2]
        from rows in Gen.Int[data, 12]
        from micro in Gen.Int[1, 4]
        from capacity in Gen.Int[20, 200]
        from limited in Gen.Bool
        select new ReshapeProblem(new(data, tensor, stages, zero), processes, needs, rows, micro) { CapacityBytes = limited ? capacity : null };

    [Theory]
    // Of 4 one is lost. A pipeline of three fills and drains: three replicas are faster where a rank can hold the whole model …
    [InlineData("data=2,pipeline=2", 3, 6, 12, null, "data=3,tensor=1,pipeline=1,zero=0")]
    // … where it cannot, layers move.
    [InlineData("data=2,pipeline=2", 3, 6, 12, 80, "data=1,tensor=1,pipeline=3,zero=0, layers 2/2/2")]
    // Five rows: three replicas wait for the one with two; four rows: two replicas are as fast as three, and fewer layers move with them.
    [InlineData("data=2,pipeline=2", 3, 6, 4, 80, "data=1,tensor=1,pipeline=3,zero=0, layers 2/2/2")]
    [InlineData("data=2,tensor=2", 3, 4, 8, null, "data=1,tensor=2,pipeline=1,zero=0")]
    [InlineData("data=2,pipeline=2,zero=1", 2, 4, 8, 50, "data=1,tensor=1,pipeline=2,zero=1, layers 2/2")]
    [InlineData("tensor=2", 1, 4, 8, null, null)]
    [InlineData("pipeline=3", 2, 5, 8, 45, null)]
    public void Those_who_are_left_go_on_in_the_fastest_shape_that_fits(string wanted, int processes, int layers, int rows, int? capacity, string? shape)
    {
        var problem = new ReshapeProblem(ParallelShape.Parse(wanted), processes, Alike(layers), rows, 1) { CapacityBytes = capacity };
        Assert.Equal(shape, ReshapePlanner.Best(problem)?.ToString());
    }

    [Fact]
    public void The_recipes_shape_comes_back_as_soon_as_it_can()
    {
        var problem = new ReshapeProblem(new(2, 1, 2, 1), 4, Alike(6), 8, 1);
        Assert.Equal(problem.Wanted, ReshapePlanner.Best(problem)!.Shape);
        Assert.Null(ReshapePlanner.Best(problem)!.Cut);
        Assert.Equal(problem.Wanted, ReshapePlanner.Best(problem with { Processes = 5 })!.Shape);
    }

    [Fact]
    public void No_shape_that_is_allowed_is_faster()
    {
        Problems.Sample(problem =>
        {
            var problems = problem with { Allows = shape => (shape.Data + shape.Pipeline) % 5 != 4 };
            var best = ReshapePlanner.Best(problems);
            if (problem.Processes >= problem.Wanted.Ranks)
            {
                Assert.Equal(problem.Wanted, best?.Shape);
                return;
            }
            var others = (from data in Enumerable.Range(1, 12) from stages in Enumerable.Range(1, 9)
                where data * stages * problem.Wanted.Tensor <= problem.Processes && data <= problem.Rows
                select ReshapePlanner.Of(problems, problem.Wanted with { Data = data, Pipeline = stages })).OfType<Reshape>().ToList();
            Assert.Equal(others.Count == 0, best is null);
            if (best is null) return;
            Assert.True(best.StepSeconds <= others.Min(other => other.StepSeconds) * (1 + 1e-8));
            Assert.True(best.Shape.Ranks <= problem.Processes && problems.Allows(best.Shape));
            Assert.Equal((problem.Wanted.Tensor, problem.Wanted.Zero), (best.Shape.Tensor, best.Shape.Zero));
            Assert.Equal((problem.Layers.Count, best.Shape.Pipeline), (best.Cut!.Layers, best.Cut.Stages));
            Assert.All(best.Cut.Counts, count => Assert.True(count > 0));
            // More processes never make it slower.
            Assert.True(ReshapePlanner.Best(problems with { Processes = problem.Processes + 1 }) is { } more && (more.Shape == problem.Wanted || more.StepSeconds <= best.StepSeconds * (1 + 1e-8)));
        });
    }

    [Fact]
    public void Every_place_is_taken_once_and_by_whoever_has_most_of_it()
    {
        var cases = from problem in Problems
            where problem.Processes > 0
            from seed in Gen.Int[0, 1_000_000]
            select (problem, seed);
        cases.Sample((problem, seed) =>
        {
            if (ReshapePlanner.Best(problem) is not { } best) return;
            var random = new Random(seed);
            var to = new ShapeCut(best.Shape, best.Cut ?? StagePartition.Even(problem.Layers.Count, best.Shape.Pipeline));
            var before = new ShapeCut(problem.Wanted, StagePartition.Even(problem.Layers.Count, problem.Wanted.Pipeline));
            var held = Enumerable.Range(0, Math.Max(problem.Processes, problem.Wanted.Ranks)).Select(place => place < problem.Wanted.Ranks ? place : -1).OrderBy(_ => random.Next()).Take(problem.Processes).ToArray();
            var places = PlaceAssignment.Of(to, before, held, held);
            Assert.Equal(Enumerable.Range(0, best.Shape.Ranks), places.Where(place => place >= 0).Order());
            // Everyone comes to the same, and nobody stands by who has layers of a place that a newcomer took.
            Assert.Equal(places, PlaceAssignment.Of(to, before, held, held));
            var spares = Enumerable.Range(0, held.Length).Where(process => places[process] < 0 && held[process] >= 0).ToList();
            var strangers = Enumerable.Range(0, held.Length).Where(process => places[process] >= 0 && held[process] < 0).ToList();
            if (!held.Order().SequenceEqual(Enumerable.Range(0, to.Shape.Ranks))) Assert.All(spares, spare => Assert.All(strangers, stranger => Assert.NotEqual(before.Shape.CoordinatesOf(held[spare]).Tensor, to.Shape.CoordinatesOf(places[stranger]).Tensor)));
        });
    }

    [Fact]
    public void Survivors_keep_their_stages_and_the_whole_world_its_ranks()
    {
        var (full, three) = (new ShapeCut(new(2, 1, 2), new([3, 6])), new ShapeCut(new(1, 1, 3), new([2, 4, 6])));
        // Rank 1 of {0: first half, 1: first half, 2: second half, 3: second half} is lost.
        Assert.Equal([0, 2, 1], PlaceAssignment.Of(three, full, [0, 2, 3], [0, 2, 3]));
        // It is back, behind the others: everyone stands where it was started for.
        Assert.Equal([0, 2, 3, 1], PlaceAssignment.Of(full, three, [0, 2, 1, -1], [0, 2, 3, 1]));
        // Tensor ranks have no part of each other's layers.
        Assert.Equal([1, -1, 0], PlaceAssignment.Of(new(new(1, 2, 1), new([4])), new(new(2, 2, 1), new([4])), [1, 3, 2], [1, 3, 2]));
    }
}
