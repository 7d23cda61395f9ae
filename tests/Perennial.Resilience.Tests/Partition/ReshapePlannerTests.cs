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
            var others = (from data in Enumerable.Range(1, 12)
                          from stages in Enumerable.Range(1, 9)
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

    [Theory]
    // A pipeline of three where no process can hold more: the slow one gets one layer of nine, wherever it stands …
    [InlineData("data=2,pipeline=2", "1/1/0.25", 9, 12, 104, "data=1,tensor=1,pipeline=3,zero=0, layers 4/4/1", "0/1/2")]
    [InlineData("data=2,pipeline=2", "0.25/1/1", 9, 12, 104, "data=1,tensor=1,pipeline=3,zero=0, layers 1/4/4", "0/1/2")]
    // … as a replica it would only hold the others up, …
    [InlineData("data=2,pipeline=2", "1/0.25/1", 6, 12, null, "data=2,tensor=1,pipeline=1,zero=0", "0/-1/0")]
    // … and those who are a little slower take part.
    [InlineData("data=2,pipeline=2", "1/0.8/1", 6, 12, null, "data=3,tensor=1,pipeline=1,zero=0", "0/0/0")]
    // Where all are there, everyone has its place; the slow stage has fewer layers.
    [InlineData("data=2,pipeline=2", "1/1/1/0.25", 6, 12, null, "data=2,tensor=1,pipeline=2,zero=0, layers 5/1", null)]
    [InlineData("data=2,pipeline=2", "1/1/1/0.8", 6, 12, null, "data=2,tensor=1,pipeline=2,zero=0", null)]
    public void A_slow_process_gets_less(string wanted, string speeds, int layers, int rows, int? capacity, string shape, string? stages)
    {
        double[] each = [.. speeds.Split('/').Select(speed => double.Parse(speed, System.Globalization.CultureInfo.InvariantCulture))];
        var problem = new ReshapeProblem(ParallelShape.Parse(wanted), each.Length, Alike(layers), rows, 1)
        {
            CapacityBytes = capacity, Speeds = each, Homes = [.. each.Select((_, process) => (double)process)], Started = each.Length == 4 ? [0, 1, 2, 3] : null,
        };
        var best = ReshapePlanner.Best(problem)!;
        Assert.Equal(shape, best.ToString());
        Assert.Equal(stages, best.Stages is { } found ? string.Join('/', found) : null);
    }

    [Fact]
    public void Speeds_are_used_as_well_as_any_arrangement_of_the_shape_can()
    {
        var cases = from problem in Problems.Where(problem => problem.Processes is > 0 and <= 5 && problem.Wanted.Ranks > problem.Processes)
                    from speeds in Gen.Int[0, 4].Select(kind => new[] { 1, 1, 0.8, 0.5, 0.25 }[kind]).Array[problem.Processes]
                    from homes in Gen.Double[0, 9].Array[problem.Processes]
                    select problem with { Speeds = speeds, Homes = homes, CapacityBytes = null };
        cases.Sample(problem =>
        {
            var best = ReshapePlanner.Best(problem);
            if (best is null) return;
            // Everyone stands where it was told to, as many in each stage as there are places.
            Assert.Equal(best.Shape.Ranks, best.Stages!.Count(stage => stage >= 0));
            Assert.All(Enumerable.Range(0, best.Shape.Pipeline), stage => Assert.Equal(best.Shape.Data * best.Shape.Tensor, best.Stages!.Count(own => own == stage)));
            var held = Enumerable.Range(0, problem.Processes).ToArray();
            var places = PlaceAssignment.Of(new(best.Shape, best.Cut!), new(problem.Wanted, StagePartition.Even(problem.Layers.Count, problem.Wanted.Pipeline)), held, held, best.Stages);
            Assert.Equal(Enumerable.Range(0, best.Shape.Ranks), places.Where(place => place >= 0).Order());
            Assert.All(held, process => Assert.Equal(best.Stages![process], places[process] < 0 ? -1 : best.Shape.CoordinatesOf(places[process]).Pipeline));
            // Nobody who stands by is faster than one who works, and no slowdown of everyone makes a step faster.
            var (working, idle) = (held.Where(process => places[process] >= 0).Min(process => problem.Speeds![process]), held.Where(process => places[process] < 0).Select(process => problem.Speeds![process]).DefaultIfEmpty(0).Max());
            Assert.True(idle <= working);
            Assert.Equal(best.StepSeconds, ReshapePlanner.StepSeconds(problem, new(best.Shape, best.Cut!), best.Stages!), 1e-9 * best.StepSeconds);
            Assert.True(ReshapePlanner.Best(problem with { Speeds = [.. problem.Speeds!.Select(speed => speed / 2)] })!.StepSeconds >= best.StepSeconds * (1 - 1e-9));
            // The cut fits the speeds: no other cut of the same stages has a faster slowest one.
            var slowest = Slowest(problem, best.Shape, best.Cut!, best.Stages!);
            foreach (var other in Cuts(problem.Layers.Count, best.Shape.Pipeline)) Assert.True(slowest <= Slowest(problem, best.Shape, other, best.Stages!) * (1 + 1e-9));
        }, iter: 60);
    }

    [Theory]
    [InlineData("1/1/1/1", null)]
    // Noise is none.
    [InlineData("1/1.3/0.8/1", null)]
    [InlineData("1/1.1/4/0.9", "1/1/0.262/1")]
    // One that was not measured counts as the middle one; a single measurement says nothing.
    [InlineData("2/0/2/5", "1/1/0.41/1")]
    [InlineData("0/0/3", null)]
    // Of two the faster is the rule.
    [InlineData("1/4", "1/0.262")]
    public void Speeds_come_from_seconds_for_the_same_work(string seconds, string? speeds)
    {
        static double[] Numbers(string text) => [.. text.Split('/').Select(each => double.Parse(each, System.Globalization.CultureInfo.InvariantCulture))];
        Assert.Equal(speeds is null ? null : Numbers(speeds).Order(), RankSpeeds.Of(Numbers(seconds))?.Order());
    }

    private static double Slowest(ReshapeProblem problem, ParallelShape shape, StagePartition cut, IReadOnlyList<int> stages) => Enumerable.Range(0, shape.Pipeline).Max(stage =>
        Enumerable.Range(cut.First(stage), cut.Counts[stage]).Sum(layer => problem.Layers[layer].Seconds) / problem.Speeds!.Where((_, process) => stages[process] == stage).Min());

    private static IEnumerable<StagePartition> Cuts(int layers, int stages) => stages == 1 ? [new([layers])]
        : from first in Enumerable.Range(1, layers - stages + 1) from rest in Cuts(layers - first, stages - 1) select new StagePartition([first, .. rest.Ends.Select(end => end + first)]);

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
