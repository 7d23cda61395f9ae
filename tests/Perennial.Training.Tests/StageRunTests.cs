using System.Globalization;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Tensors;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

/// <summary>Runs of several stages over one training state.</summary>
public sealed class StageRunTests : IDisposable
{
    private readonly string place = Directory.CreateTempSubdirectory("perennial-stages-").FullName;
    private readonly ComponentRegistry components = House.Components;

    public StageRunTests()
    {
        TorchRuntime.EnsureLoaded();
        File.WriteAllText(Path.Combine(place, "a.txt"), string.Concat(Enumerable.Range(0, 900).Select(i => $"the square of {i} is {(long)i * i}.\n\n")));
        File.WriteAllText(Path.Combine(place, "b.txt"), string.Concat(Enumerable.Range(0, 900).Select(i => $"la mitad de {i} es {i / 2.0:0.0}, nada mas.\n\n")));
    }

    public void Dispose() => Directory.Delete(place, recursive: true);

    private string Yaml(string stages, string more = "", string practices = "[]") => $$"""
        name: stages
        data:
          tokenizer: { kind: bpe, vocabulary: 300 }
          holdout: 0.05
          cache: {{Path.Combine(place, "cache")}}
        model: { kind: llama, layers: 2, width: 16, heads: 2, context: 16 }
        optimizer: { rate: 5e-3 }
        schedule: { kind: constant }
        training: { steps: 10, batch: 4, precision: float32, threads: 1 }
        practices: {{practices}}
        resilience: { checkpoint: 3 steps, keep: 9 }
        evaluation: { every: 0 steps, prompts: [], probes: [1 steps, 3 steps] }
        {{more}}
        stages:
        {{stages.Replace("A:", $"[{{ path: {place}/a.txt, split: paragraph }}]", StringComparison.Ordinal).Replace("B:", $"[{{ path: {place}/b.txt, split: paragraph }}]", StringComparison.Ordinal)}}
        """;

    private const string Two = """
          - { name: first, data: { sources: A: } }
          - { name: second, data: { sources: B: } }
        """;

    private (RunResult Result, List<RunEvent> Events) Run(string run, string yaml, long? stopAt = null, Recorder? recorder = null)
    {
        recorder ??= new Recorder();
        var recipe = new RecipeLoader(components).Parse(yaml, "stages.yaml", ["evaluation.tasks=[]"]);
        return (new TrainingRun(components).Execute(recipe, new TrainingRunOptions { RunFolder = Path.Combine(place, run), StopAtStep = stopAt }, [recorder]), recorder.Of<RunEvent>());
    }

    [Fact]
    public void Every_practice_survives_kills_anywhere_with_the_same_bits()
    {
        // Every practice there is, whatever is added later: each with its own options, or those that it needs.
        var needed = new Dictionary<string, string> { ["freeze"] = "bottom: 1", ["reptile"] = "every: 3 steps, rate: 0.5", ["replay"] = "keep: per-source, capacity: 16, rate: 0.25", ["ewc"] = "samples: 8", ["rwalk"] = "every: 3", ["gradient-alignment"] = "pairs: 2, rows: 1" };
        var all = components.Kinds(typeof(IPractice)).Select(kind => $"{{ kind: {kind}{(needed.TryGetValue(kind, out var options) ? $", {options}" : "")} }}");
        var yaml = Yaml("""
              - { name: first, data: { sources: A: } }
              - { name: second, data: { sources: B: }, tokens: 640, moments: reset, rate: 2e-3, practices: [{ kind: replay, rate: 0.3 }, { kind: ewc, samples: 8 }, { kind: si }, { kind: rwalk, every: 3 }] }
              - { name: polish, data: { sources: B: }, branch: true, steps: 4, schedule: { kind: infinite, constant: 1, anneal: 100% }, practices: [{ kind: replay, keep: reservoir, capacity: 20, from: seen }] }
              - { name: third, data: { sources: A: }, steps: 7 }
            """, practices: $"[{string.Join(", ", all)}]");
        var through = Run("through", yaml).Result;
        // 10 steps; 40 samples / (4 · 0.7) = 14.3 → 15; 4; 7 given in steps.
        Assert.Equal(36, through.Step);
        foreach (var stop in new long[] { 1, 9, 11, 17, 25, 26, 28, 29, 31, 35 })
        {
            Assert.False(Run("stopped", yaml, stop).Result.Completed);
            Kill("stopped", stop);
        }
        Assert.Equal(through.StateHash, Run("stopped", yaml).Result.StateHash);
    }

    // A kill says no goodbye: what a stop would have saved is gone, and the newest checkpoint of the interval is what is left.
    private void Kill(string run, long step)
    {
        var folders = Directory.GetDirectories(Path.Combine(place, run, "checkpoints"), "step-*").Select(folder => (Folder: folder, Step: long.Parse(Path.GetFileName(folder).AsSpan(5), CultureInfo.InvariantCulture))).ToList();
        if (folders.Any(one => one.Step < step) && step % 3 != 0) foreach (var one in folders.Where(one => one.Step == step)) Directory.Delete(one.Folder, recursive: true);
    }

    [Fact]
    public void The_matrix_has_a_row_before_training_and_one_a_stage_and_probes_between()
    {
        var (_, events) = Run("rows", Yaml(Two));
        var measured = events.OfType<StageMeasured>().ToList();
        Assert.Equal([(0, 0L, false), (0, 1, false), (0, 3, false), (0, 10, true), (1, 1, false), (1, 3, false), (1, 10, true)], measured.Select(e => (e.Stage, e.StageStep, e.IsEnd)));
        Assert.All(measured, e => Assert.Equal(["first", "second"], e.Texts.Select(text => text.Text)));
        Assert.Equal(["first", "second"], measured.Where(e => e.IsEnd).Select(e => e.Own));
        var loss = measured.Where(e => e.IsEnd).Select(e => e.Texts.Select(text => text.Metrics["loss"]).ToList()).ToList();
        Assert.True(loss[1][1] < loss[0][1]);
        Assert.All(new[] { "1-first", "2-second" }, name => Assert.True(File.Exists(Path.Combine(place, "rows", "stages", name, "model.safetensors"))));
        Assert.Equal([(0, 640L, 640L), (1, 640, 640)], events.OfType<StageFinished>().Select(e => (e.Stage, e.Tokens, e.FreshTokens)));
    }

    [Fact]
    public void A_run_that_is_lost_while_its_end_is_evaluated_has_no_step_to_do_again()
    {
        var (through, expected) = Run("through", Yaml(Two));
        var lost = new Recorder(happened =>
        {
            if (happened is StageMeasured { Stage: 1, IsEnd: true }) throw new InvalidOperationException("lost");
        });
        Assert.Equal("lost", Assert.Throws<InvalidOperationException>(() => Run("lost", Yaml(Two), recorder: lost)).Message);
        var (result, events) = Run("lost", Yaml(Two));
        Assert.Equal((20L, through.StateHash), (events.OfType<RunStarted>().Single().StartStep, result.StateHash));
        Assert.Empty(events.OfType<StepDone>());
        // All that is said of the end is said.
        Assert.Equal(expected.OfType<StageFinished>().Last() with { Folder = "" }, events.OfType<StageFinished>().Single() with { Folder = "" });
        Assert.Equal(expected.OfType<StageMeasured>().Last().Texts.Select(text => text.Metrics["loss"]), events.OfType<StageMeasured>().Single().Texts.Select(text => text.Metrics["loss"]));
        Assert.True(File.Exists(Path.Combine(place, "lost", "stages", "2-second", "model.safetensors")));
    }

    [Fact]
    public void A_branch_leaves_the_trunk_as_it_was()
    {
        // Rates and weights of the third stage are those of a run that never branched.
        const string trunk = """
              - { name: first, data: { sources: A: } }
              - { name: third, data: { sources: B: } }
            """;
        const string branched = """
              - { name: first, data: { sources: A: } }
              - { name: finish, data: { sources: A: }, branch: true, steps: 5, schedule: { kind: infinite, constant: 1, anneal: 100% } }
              - { name: third, data: { sources: B: } }
            """;
        var (plain, plainEvents) = Run("plain", Yaml(trunk, practices: "[{ kind: ema }]"));
        var (result, events) = Run("branched", Yaml(branched, practices: "[{ kind: ema }]"));
        Assert.Equal(25, result.Step);
        Assert.Equal(plainEvents.OfType<StepDone>().Skip(10).Select(step => (step.Loss, step.Rate)), events.OfType<StepDone>().Skip(15).Select(step => (step.Loss, step.Rate)));
        Assert.Equal(plain.Loss, result.Loss);
        var finished = events.OfType<StageMeasured>().Single(e => e is { IsBranch: true, IsEnd: true, Weights: "raw" });
        Assert.Equal("first", finished.Own);
    }

    [Fact]
    public void Replay_is_charged_on_top_or_within_and_delivers_its_rate()
    {
        // 10 steps of 4 rows are 40 new samples: at rate 0.5 they take 20 steps, or 10 of 20 new ones.
        var (_, top) = Run("top", Yaml("""
              - { name: first, data: { sources: A: } }
              - { name: second, data: { sources: B: }, tokens: 640, practices: [{ kind: replay, rate: 0.5 }] }
            """));
        Assert.Equal((1280L, 640L), top.OfType<StageFinished>().Where(e => e.Stage == 1).Select(e => (e.Tokens, e.FreshTokens)).Single());
        var (_, within) = Run("within", Yaml("""
              - { name: first, data: { sources: A: } }
              - { name: second, data: { sources: B: }, tokens: 640, practices: [{ kind: replay, rate: 0.5, budget: total }] }
            """));
        Assert.Equal((640L, 320L), within.OfType<StageFinished>().Where(e => e.Stage == 1).Select(e => (e.Tokens, e.FreshTokens)).Single());
        var forgotten = new[] { top, within }.Select(events => events.OfType<StageMeasured>().Last().Texts[0].Metrics["loss"]).ToList();
        var sequential = Run("none", Yaml(Two)).Events.OfType<StageMeasured>().Last().Texts[0].Metrics["loss"];
        Assert.All(forgotten, loss => Assert.True(loss < sequential));
    }

    [Fact]
    public void A_stage_that_another_run_has_behind_it_is_taken_over_exactly()
    {
        const string practices = "[{ kind: replay, rate: 0.5 }, { kind: ewc, samples: 4 }]";
        var whole = Run("whole", Yaml(Two, practices: practices));
        Run("base", Yaml(Two, practices: practices), 10);
        // Up to the end of the first stage it is the same run: weights, moments and what was read are taken over, and training goes on alike.
        var taken = Run("taken", Yaml($$"""
              - { name: first, from: {{place}}/base/checkpoints/step-10, data: { sources: A: } }
              - { name: second, data: { sources: B: } }
            """, practices: practices));
        Assert.Equal(10, taken.Result.Step);
        Assert.Equal(whole.Events.OfType<StepDone>().Skip(10).Select(step => step.Loss), taken.Events.OfType<StepDone>().Select(step => step.Loss));
        Assert.Equal(whole.Events.OfType<StageMeasured>().Last().Texts.Select(text => text.Metrics["loss"]), taken.Events.OfType<StageMeasured>().Last().Texts.Select(text => text.Metrics["loss"]));
    }

    [Fact]
    public void Stages_need_names_of_their_own()
    {
        var error = Assert.Throws<PerennialException>(() => Run("bad", Yaml("""
              - { name: first, data: { sources: A: } }
              - { name: first, data: { sources: B: } }
            """)));
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains("'first' is there twice", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Only_the_last_stage_may_be_made_longer()
    {
        Run("grow", Yaml(Two), 12);
        var error = Assert.Throws<PerennialException>(() => Run("grow", Yaml(Two).Replace("steps: 10,", "steps: 12,", StringComparison.Ordinal)));
        Assert.Contains("training.steps", error.Message, StringComparison.Ordinal);
        var longer = Yaml("""
              - { name: first, data: { sources: A: } }
              - { name: second, data: { sources: B: }, steps: 14 }
            """);
        Assert.Equal(24, Run("grow", longer).Result.Step);
    }

    private string Plain(string schedule, int steps) => Yaml("").Replace("schedule: { kind: constant }", $"schedule: {schedule}", StringComparison.Ordinal)
        .Replace("steps: 10,", $"steps: {steps},", StringComparison.Ordinal).Replace("stages:\n", "", StringComparison.Ordinal).Replace("data:", $"data:\n  sources: [{{ path: {place}/a.txt, split: paragraph }}]", StringComparison.Ordinal);

    [Fact]
    public void A_finished_run_goes_on_from_before_its_decay_like_one_that_was_planned_longer()
    {
        const string wsd = "{ kind: wsd, warmup: 2 steps, decay: 4 steps }";
        var planned = Run("planned", Plain(wsd, 20)).Result;
        var first = Run("extended", Plain(wsd, 12).Replace("keep: 9", "keep: 1", StringComparison.Ordinal));
        Assert.True(first.Result.Completed);
        var (longer, events) = Run("extended", Plain(wsd, 20));
        Assert.Equal(8, events.OfType<RunStarted>().Single().StartStep);
        // The plan is not part of what has been done: only its memory of the first plan differs.
        Assert.Equal(planned.Loss, longer.Loss);
        Assert.True(File.Exists(Path.Combine(place, "extended", "annealed", "step-12", "model.safetensors")));
        // Nothing more to extend: the same command is done at once.
        Assert.Equal(longer.StateHash, Run("extended", Plain(wsd, 20)).Result.StateHash);
    }

    [Fact]
    public void A_finished_cosine_warms_up_again_whether_or_not_it_is_stopped()
    {
        const string cosine = "{ kind: cosine, warmup: 3 steps, final: 0.1 }";
        var rates = new List<double>();
        foreach (var name in new[] { "through", "stopped" })
        {
            Run(name, Plain(cosine, 8));
            if (name == "stopped") Run(name, Plain(cosine, 16), 9);
            rates.Add(Run(name, Plain(cosine, 16)).Events.OfType<StepDone>().Single(step => step.Step == 11).Rate);
        }
        Assert.All(rates, rate => Assert.Equal(5e-3, rate, 1e-12));
        Assert.Equal(Run("through", Plain(cosine, 16)).Result.StateHash, Run("stopped", Plain(cosine, 16)).Result.StateHash);
    }
}
