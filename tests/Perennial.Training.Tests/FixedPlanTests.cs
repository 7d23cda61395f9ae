using Perennial.Resilience.Groups;
using Perennial.Training.Loop;
using Perennial.Training.Parallel;
using Perennial.Training.Recipes;

namespace Perennial.Training.Tests;

/// <summary>What measured speeds and costs make of the plan for those who are there.</summary>
public sealed class FixedPlanTests(PreparedText text) : IClassFixture<PreparedText>
{
    private RunParts Parts(string parallel, string balance)
    {
        var recipe = new RecipeLoader(House.Components).Parse($$"""
            name: planned
            data: {{text.Data()}}
            model: { kind: llama, layers: 6, width: 32, heads: 2, context: 16 }
            training: { steps: 3, batch: 12, micro-batch: 1, precision: float32, threads: 1 }
            resilience: { balance: {{balance}} }
            evaluation: { every: 0 steps, tasks: [], prompts: [] }
            schedule: { kind: constant }
            parallel: {{parallel}}
            """, "planned.yaml");
        return RunParts.Make(recipe, null, CancellationToken.None, new ParallelPlace(recipe.Parallel!.Shape, 0));
    }

    private static RollCall Roll(params IEnumerable<(double Layer, double Head)> paces) =>
        new([.. paces.Select(pace => new Presence([], "here", 0, true) { Pace = new(pace.Layer, pace.Head) })]);

    [Fact]
    public void A_stage_that_is_slow_has_fewer_layers()
    {
        using var parts = Parts("{ pipeline: 2 }", "auto");
        var planner = new FixedPlanner(parts, parts.Recipe.Parallel!.Shape);
        Assert.Equal("data=1,tensor=1,pipeline=2,zero=0, layers 3/3", $"{planner.Make(Roll((1, 0), (1.2, 1)), [0, 1])}");
        var plan = planner.Make(Roll((1, 0), (3, 3)), [0, 1])!;
        Assert.Equal(("data=1,tensor=1,pipeline=2,zero=0, layers 5/1", "; measured speeds by rank 1/0.328, the head is as slow as 1.0 layers"), ($"{plan}", plan.Measured));
        // One that is alone has nobody to be slower than.
        Assert.Equal(("data=1,tensor=1,pipeline=1,zero=0", ""), ($"{planner.Make(Roll((3, 3)), [1])}", planner.Make(Roll((3, 3)), [1])!.Measured));
    }

    [Fact]
    public void Without_a_loss_only_what_makes_a_step_much_shorter_is_a_gain()
    {
        using var parts = Parts("{ pipeline: 2 }", "measured");
        var planner = new FixedPlanner(parts, parts.Recipe.Parallel!.Shape);
        var (roll, even) = (Roll((1, 0), (1, 0)), new FixedPlan(parts.Recipe.Parallel.Shape, [3, 6], [0, 1]));
        double Gain(FixedPlan plan, double first, double second, double head) => planner.Gain(roll, plan, [0, 1], [new(first, 0), new(second, head)]);
        Assert.Equal(1, Gain(even, 1, 1.2, 1), 9);
        Assert.True(Gain(even, 1, 3, 3) > 1.5);
        // The cut for the slow one, and it is slow no more.
        Assert.True(Gain(even with { Ends = [5, 6] }, 1, 1, 0.1) > 1.3);
        Assert.Equal(1, Gain(even with { Ends = [5, 6] }, 1, 3, 3), 9);
        // Everyone is as fast; the head is as slow as six layers.
        Assert.True(Gain(even, 1, 1, 6) > 1.2);
    }

    [Theory]
    [InlineData("{ pipeline: 2 }", "even")]
    [InlineData("{ pipeline: 2, reshape: wait }", "measured")]
    public void Speeds_are_left_alone_where_the_recipe_says_so(string parallel, string balance)
    {
        using var parts = Parts(parallel, balance);
        var plan = new FixedPlanner(parts, parts.Recipe.Parallel!.Shape).Make(Roll((1, 0), (5, 5)), [0, 1])!;
        Assert.Equal(("data=1,tensor=1,pipeline=2,zero=0, layers 3/3", ""), ($"{plan}", plan.Measured));
    }

    [Fact]
    public void A_clock_tells_layers_from_head_and_work_from_waiting()
    {
        var time = new Milliseconds();
        var clock = new StageClock(time);
        void Step(Action work)
        {
            clock.Begin();
            work();
            clock.End(rows: 2, layers: 2);
        }
        void Busy(long milliseconds) => time.Now += milliseconds;
        for (var i = 0; i < 15; i++) Step(() => Busy(1));
        Assert.Equal(new StagePace(0, 0), clock.Pace);
        for (var i = 0; i < 16; i++)
            Step(() =>
            {
                clock.Wait(() => Busy(20));
                Busy(4);
                clock.HiddenDone();
                Busy(2);
                clock.LossDone();
            });
        Assert.Equal(new StagePace(1e-3, 1e-3), clock.Pace);
    }

    private sealed class Milliseconds : TimeProvider
    {
        // Not 0, which a clock may take for never.
        public long Now { get; set; } = 1;

        public override long TimestampFrequency => 1000;

        public override long GetTimestamp() => Now;
    }
}
