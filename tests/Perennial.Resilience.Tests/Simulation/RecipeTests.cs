using Perennial.Core;
using Perennial.Resilience.Simulation;

namespace Perennial.Resilience.Tests.Simulation;

public sealed class RecipeTests : IDisposable
{
    private readonly string folder = Directory.CreateTempSubdirectory("perennial-simulate-").FullName;

    [Theory]
    [InlineData("clusters: {}", "s.yaml:1:1: unknown key 'clusters', did you mean 'cluster'?")]
    [InlineData("name: x\ndays: soon", "s.yaml:2:7: 'days' must be a number")]
    [InlineData("policies: [restart, elastik]", "s.yaml:1:21: unknown recovery 'elastik', did you mean 'elastic'?")]
    [InlineData("policies: [{ kind: restart, times: { detekt: 3 } }]", "s.yaml:1:38: unknown key 'detekt', did you mean 'detect'?")]
    [InlineData("accelerators: [8]", "s.yaml:1:15: 'accelerators' has 8; one path of 4 stages on nodes of 8 needs 32")]
    [InlineData("accelerators: []", "s.yaml:1:15: 'accelerators' is empty")]
    [InlineData("job: { stages: 8, layers: 6 }", "s.yaml:1:27: 'layers' are 6, too few for 8 stages")]
    [InlineData("protection: { parity-group: 2, parity-losses: 2 }", "s.yaml:1:47: 'parity-losses' is 2 and must be below")]
    [InlineData("cases: { data: 2, losses: { a: [2.0] } }", "s.yaml:1:8: 'cases' 'a' must list ranks as path.stage, below 2.4; found 2.0")]
    public void A_wrong_recipe_is_refused_where_it_is_wrong(string yaml, string message)
    {
        var error = Assert.Throws<PerennialException>(() => Studies.Bind(yaml));
        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Usage, error.Code);
    }

    [Fact]
    public void Cases_give_the_papers_ratios()
    {
        var report = Simulator.Run(SimulationRecipe.Load(Path.Combine(Studies.Root, "recipes/simulate/losses.yaml"), Studies.Components));
        Assert.Equal(["one rank", "two stages", "one stage twice"], report.Cases.Select(loss => loss.Name));
        double?[] overDrop = [.. report.Cases.Select(loss => loss.Ratio("elastic", "drop-replica"))];
        double?[] overReroute = [.. report.Cases.Select(loss => loss.Ratio("elastic", "reroute"))];
        double[] expectedDrop = [1.18, 1.64, 1.55], expectedReroute = [1.18, 1.13, 1.55];
        for (var i = 0; i < 3; i++)
        {
            Assert.Equal(expectedDrop[i], overDrop[i]!.Value, 0.01);
            Assert.Equal(expectedReroute[i], overReroute[i]!.Value, 0.01);
        }
        Assert.Equal(1 / 1.118 * 16 / 15, report.Cases[0].Entries[3].PerLive, 0.001);
        Assert.Equal((102.0, true), (report.Attempts!.Without, report.Attempts.Adopt));
        Assert.Contains("\"step_factor\": 1.31", report.ToJson(), StringComparison.Ordinal);
    }

    [Fact]
    public void Measured_layer_costs_shape_the_pipeline()
    {
        var options = Studies.Bind("{ accelerators: [], job: { stages: 2, layer-costs: [1, 1, 1, 3], step-seconds: 4 }, cases: { data: 2, losses: { a: [0.1] } } }");
        var shape = options.Shape(2);
        Assert.Equal([3, 1], shape.Partition.Counts);
        Assert.Equal(4, shape.WholeStepSeconds, 12);
        // (6 + 63·3) / (6 + 31·3): one path left of two does 64 micro-batches.
        Assert.Equal(195.0 / 99, Simulator.Run(options).Cases[0].Entries[0].StepFactor!.Value, 1e-9);
    }

    [Fact]
    public void A_slow_rank_gets_less_work_where_work_is_split_and_sets_the_pace_elsewhere()
    {
        // One stage, waves of 12 samples over 4 ranks of which one has half the speed: 4 a rank and 2 for it, against 3 for each.
        var options = Studies.Bind("{ accelerators: [], policies: [restart, drop-replica, reroute, elastic], job: { stages: 1, layers: 4, samples: 3, waves: 4 }, cases: { data: 4, losses: { none: [], it: [2.0] }, speeds: { 2.0: 0.5 } } }");
        var (none, it) = (Simulator.Run(options).Cases[0], Simulator.Run(options).Cases[1]);
        Assert.Equal([2, 2, 2, 4.0 / 3], none.Entries.Select(entry => Math.Round(entry.StepFactor!.Value, 12)), (a, b) => Math.Abs(a - b) < 1e-9);
        // Without it the others take 4 samples each.
        Assert.Equal(4.0 / 3, it.Entries[3].StepFactor!.Value, 1e-9);
    }

    [Theory]
    [InlineData("9.0: 0.5", "path.stage")]
    [InlineData("0.0: 0", "above 0")]
    public void Speeds_of_ranks_that_are_not_there_are_refused(string speeds, string problem)
    {
        var refused = Assert.Throws<PerennialException>(() => Studies.Bind($"{{ accelerators: [], cases: {{ data: 4, speeds: {{ {speeds} }} }} }}"));
        Assert.Contains(problem, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_guide_shows_what_its_recipes_print()
    {
        var guide = File.ReadAllText(Path.Combine(Studies.Root, "docs/simulate.md")).ReplaceLineEndings("\n");
        foreach (var name in new[] { "cluster", "losses", "stragglers" })
        {
            var path = Path.Combine(Studies.Root, "recipes/simulate", name + ".yaml");
            var printed = SimulationText.Of(Simulator.Run(SimulationRecipe.Load(path, Studies.Components)));
            Assert.Contains("```text\n" + printed + "```", guide, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_calibration_replaces_assumed_times()
    {
        File.WriteAllText(Path.Combine(folder, "measured.json"), """
            { "runs": [ { "name": "kill one of eight", "policy": "elastic", "paths": 4, "stages": 2, "seconds": 60, "steps": 200, "step-seconds": 0.25,
              "events": [ { "at": 20.1, "ranks": [3], "detect": 0.2, "agree": 0.02, "group": 0.05, "plan": 0.01, "move": 0.1, "replay": 0.02, "again": 0.3 },
                          { "at": 40.1, "ranks": [5], "detect": 0.4, "agree": 0.02, "group": 0.05, "plan": 0.01, "move": 0.1, "replay": 0.02 } ] } ] }
            """);
        File.WriteAllText(Path.Combine(folder, "r.yaml"), "calibration: measured.json\npolicies: [restart, elastic]");
        var options = SimulationRecipe.Load(Path.Combine(folder, "r.yaml"), Studies.Components);
        Assert.Equal(new RestartRecoveryOptions().Times, options.Policies[0].Create().Times);
        var times = options.Policies[1].Create().Times;
        Assert.Equal(0.3, times.Detect, 12);
        Assert.Equal(0.05, times.Mean(RecoveryPhase.Group, 1_000_000), 12);
        Assert.Equal(Math.Log(0.6 / 0.4) / Math.Sqrt(2), times.Spread, 9);

        File.WriteAllText(Path.Combine(folder, "measured.json"), """{ "runs": [ { "name": "a", "policy": "elastic", "paths": 4, "seconds": 60, "steps": 9, "step-seconds": 1, "events": [ { "at": 1, "ranks": [4] } ] } ] }""");
        Assert.Contains("lost rank 4", Assert.Throws<PerennialException>(() => SimulationRecipe.Load(Path.Combine(folder, "r.yaml"), Studies.Components)).Message, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(folder, "measured.json"), """{ "runs": [ { "name": "a", "policy": "elastic", "paths": 4, "seconds": "long" } ] }""");
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => SimulationRecipe.Load(Path.Combine(folder, "r.yaml"), Studies.Components)).Code);
    }

    [Fact]
    public void A_restart_is_played_again_with_the_runs_own_checkpoints_and_without_stalls_that_its_steps_contain()
    {
        // At 130 s step 130 is done, step 100 is on disk: 10 s to begin, 30 steps again, and 160 more until the end.
        MeasuredRun Run(string name) => new()
        {
            Name = name, Policy = "restart", Paths = 4, Seconds = 300, Steps = 260, StepSeconds = 1, CheckpointSteps = 50,
            Events = [new() { At = 130.0, Ranks = [2], Group = 10, Again = 30 }],
        };
        var options = Studies.Plain(Studies.Restart(new())) with
        {
            Protection = new() { SnapshotStallSeconds = 0.5, CheckpointStallSeconds = 20 },
            Cluster = new() { RespawnSeconds = 3 },
        };
        Assert.All(RecoveryValidation.Compare(options, new() { Runs = [Run("a"), Run("b")] }), run =>
        {
            Assert.Equal(40, run.PredictedRecovery, 3);
            Assert.Equal(260, run.PredictedSteps);
            Assert.True(run.Independent);
        });
    }

    [Fact]
    public void A_validation_says_how_far_predictions_are_off()
    {
        MeasuredEvent Event(double at, int rank, double detect) => new() { At = at, Ranks = [rank], Detect = detect, Group = 0.5, Again = 0.2 };
        MeasuredRun Run(string name, int steps, params IReadOnlyList<MeasuredEvent> events) =>
            new() { Name = name, Policy = "elastic", Paths = 4, Stages = 2, Seconds = 100, Steps = steps, StepSeconds = 0.25, Events = events };
        var options = Studies.Plain(Studies.Elastic(new())) with { Protection = new() { SnapshotStallSeconds = 0, CheckpointStallSeconds = 0 }, Job = new() { Stages = 2, StateBytes = 0 } };
        var validated = RecoveryValidation.Compare(options, new() { Runs = [Run("a", 396, Event(50.2, 3, 0.30)), Run("b", 397, Event(30.2, 5, 0.36)), Run("c", 400)] });
        Assert.All(validated.Take(2), run => Assert.True(run.Independent));
        // Predicted for a: 0.36 + 0.5 + 0.2 of a step done again, against 1.00 measured.
        Assert.Equal(1.06, validated[0].PredictedRecovery, 6);
        Assert.Equal(0.06, validated[0].RecoveryError, 6);
        Assert.Equal(0.06 / 1.06, validated[1].RecoveryError, 6);
        Assert.All(validated, run => Assert.True(run.StepError < 0.01));
        Assert.Equal((400, 0.0), (validated[2].PredictedSteps, validated[2].RecoveryError));
        Assert.False(RecoveryValidation.Compare(options, new() { Runs = [Run("a", 396, Event(50.2, 3, 0.3))] })[0].Independent);
    }

    [Fact]
    public void Only_runs_of_as_many_ranks_tell_and_what_the_job_does_is_told_by_all_policies()
    {
        MeasuredRun Run(string policy, int paths, double detect, double move) => new()
        {
            Name = policy, Policy = policy, Paths = paths, Seconds = 100, Steps = 396, StepSeconds = 0.25,
            Events = [new() { At = 50.2, Step = 200, Ranks = [1], Detect = detect, Move = move, Again = 0.2, Partial = 0.2 }],
        };
        var options = Studies.Plain(Studies.Elastic(new())) with { Protection = new() { SnapshotStallSeconds = 0, CheckpointStallSeconds = 0 }, Job = new() { Stages = 1, StateBytes = 0 } };
        options = options with { Policies = [.. options.Policies, Studies.Reroute(new())] };
        var validated = RecoveryValidation.Compare(options, new() { Runs = [Run("elastic", 4, 0.2, 0.1), Run("elastic", 4, 0.2, 0.3), Run("reroute", 4, 0.4, 0.9), Run("elastic", 8, 9, 9), Run("reroute", 2, 7, 7)] });
        // Detection is the mean of both others, the move that of the other elastic run; no agreement or group was needed.
        Assert.Equal(0.3 + 0.3 + 0.2, validated[0].PredictedRecovery, 6);
        // No other rerouted with four ranks: those that went on elastically tell.
        Assert.Equal((true, 0.6), (validated[2].Independent, Math.Round(validated[2].PredictedRecovery, 6)));
        Assert.Equal((false, 18.2), (validated[3].Independent, Math.Round(validated[3].PredictedRecovery, 6)));
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}
