using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data;
using Perennial.Data.Preparation;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Resilience.Membership;
using Perennial.Tensors;
using Perennial.Training.Parallel;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

/// <summary>An online mixture over scored sources: stopped, resumed and shared out anywhere, the samples are those of the run that was let through.</summary>
public sealed class OnlineMixtureTests : IDisposable
{
    private readonly string place = Directory.CreateTempSubdirectory("perennial-mixture-").FullName;
    private readonly ComponentRegistry components = House.Components;

    public OnlineMixtureTests()
    {
        TorchRuntime.EnsureLoaded();
        foreach (var (name, line) in new (string, Func<int, string>)[] { ("a", i => $"the square of {i} is {(long)i * i}."), ("b", i => $"{i} {i} {i} {i}"), ("c", i => $"seven times {i % 50} makes {7 * (i % 50)}") })
            File.WriteAllLines(Path.Combine(place, name + ".jsonl"), Enumerable.Range(0, 700).Select(i => System.Text.Json.JsonSerializer.Serialize(new { text = line(i), level = i % 100 })));
    }

    public void Dispose() => Directory.Delete(place, recursive: true);

    private Recipe Recipe(string mixture, int steps = 40) => new RecipeLoader(components).Parse($$"""
        name: mixture
        data:
          sources: [{ path: {{place}}/a.jsonl }, { path: {{place}}/b.jsonl }, { path: {{place}}/c.jsonl }]
          tokenizer: { kind: bpe, vocabulary: 280 }
          holdout: 0.1
          probe: 0.5
          probe-tokens: 300
          mixture: {{mixture}}
          order: { kind: curriculum, by: level, direction: ascending }
          packing: best-fit
          documents: separate
          cache: {{place}}/cache
        model: { kind: llama, layers: 1, width: 16, heads: 2, context: 16 }
        optimizer: { rate: 1e-2 }
        training: { steps: {{steps}}, batch: 32, precision: float32, threads: 1 }
        resilience: { checkpoint: 7 steps, keep: 100 }
        evaluation: { every: 0 steps, tasks: [], prompts: [] }
        """, "mixture.yaml");

    private const string SkillIt = "{ kind: skill-it, every: 5 steps, eta: 0.8, graph: learn, learning: { method: singles, steps: 3, threshold: 0 } }";

    private RunResult Run(string folder, Recipe recipe, long? stop = null, params IRunObserver[] observers) =>
        new TrainingRun(components).Execute(recipe, new TrainingRunOptions { RunFolder = Path.Combine(place, folder), StopAtStep = stop }, observers);

    [Theory]
    [InlineData(SkillIt)]
    [InlineData("{ kind: bandit, every: 3 steps }")]
    [InlineData("{ kind: scheduled, every: 2 steps, points: [{ at: 0%, weights: [1, 0, 1] }, { at: 100%, weights: [0, 1, 1] }] }")]
    public void Resuming_inside_a_mixture_is_exact(string mixture)
    {
        var through = Run("through", Recipe(mixture));
        foreach (var stop in new long[] { 12, 23 }) Run("stopped", Recipe(mixture), stop);
        Assert.Equal(through.StateHash, Run("stopped", Recipe(mixture)).StateHash);
        using var data = DataPreparation.Prepare(Recipe(mixture).Data, 1337);
        var whole = RunSamples.Of(Recipe(mixture), data, Path.Combine(place, "through"));
        var resumed = RunSamples.Of(Recipe(mixture), data, Path.Combine(place, "stopped"));
        Assert.Equal(Ids(whole, 200, 1200), Ids(resumed, 200, 1200));
        Assert.True(whole.Record()!.Segments.Count > 5);
    }

    [Fact]
    public async Task Under_another_layout_the_samples_are_the_same()
    {
        var chosen = new Recorder();
        Run("alone", Recipe(SkillIt), null, chosen);
        Run("layout", Recipe(SkillIt), 12);
        using var store = new MemoryStore();
        var (hub, seen) = (new Perennial.Resilience.Groups.ThreadHub(), new Recorder());
        var workers = Enumerable.Range(0, 3).Select(rank => Task.Factory.StartNew(() => new TrainingRun(components).Execute(Recipe(SkillIt), new TrainingRunOptions
        {
            RunFolder = Path.Combine(place, "layout"),
            Parallel = new ParallelSettings { Store = store, Groups = hub, Run = "layout", Rank = rank, WorldSize = 3, Lease = TimeSpan.FromSeconds(5) },
        }, [seen]), TaskCreationOptions.LongRunning)).ToList();
        var results = await Task.WhenAll(workers);
        Assert.Single(results.Select(result => result.StateHash).Distinct());
        using var data = DataPreparation.Prepare(Recipe(SkillIt).Data, 1337);
        var alone = RunSamples.Of(Recipe(SkillIt), data, Path.Combine(place, "alone"));
        var committed = seen.Of<SamplesCommitted>();
        Assert.Equal(28, committed.Count);
        foreach (var step in committed)
        {
            Assert.Equal(3, step.ByRank.Count);
            Assert.Equal(Ids(alone, 32 * (step.Step - 1), 32 * step.Step), step.ByRank.SelectMany(ids => ids));
        }
        Assert.Contains(chosen.Of<Notice>(), notice => notice.Message.StartsWith("skills graph learned", StringComparison.Ordinal));
        Assert.Equal(8, chosen.Of<MixtureChosen>().Count);
        var shares = chosen.Of<MixtureMeasured>()[^1].Shares;
        Assert.All(shares, share => Assert.InRange(share.Delivered - share.Promised, -0.01, 0.01));
        Assert.All(shares, share => Assert.True(share.Epochs > 0));
    }

    [Fact]
    public void Learning_a_graph_leaves_no_trace_in_the_state()
    {
        // With η = 0 the graph does not matter: the runs are one run.
        const string given = "{ kind: skill-it, every: 5 steps, eta: 0, graph: GRAPH, learning: { method: pairs, steps: 2 } }";
        var (learned, told) = (new Recorder(), new Recorder());
        Run("learned", Recipe(given.Replace("GRAPH", "learn", StringComparison.Ordinal), 10), null, learned);
        Run("told", Recipe(given.Replace("GRAPH", "identity", StringComparison.Ordinal), 10), null, told);
        Assert.Equal(told.Of<StepDone>().Select(step => step.Loss), learned.Of<StepDone>().Select(step => step.Loss));
    }

    [Fact]
    public void An_undecided_position_is_refused_with_the_cure()
    {
        using var data = DataPreparation.Prepare(Recipe(SkillIt).Data, 1337);
        var error = Assert.Throws<PerennialException>(() => RunSamples.Of(Recipe(SkillIt), data).SampleAt(0));
        Assert.Contains("name the run", error.Message, StringComparison.Ordinal);
    }

    private static IEnumerable<long> Ids(Data.Streams.SampleStream stream, long from, long to)
    {
        for (var position = from; position < to; position++) yield return stream.SampleAt(position);
    }
}
