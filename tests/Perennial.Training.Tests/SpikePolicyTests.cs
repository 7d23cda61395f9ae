using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Tensors;
using Perennial.Training.Practices;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

/// <summary>Options of <see cref="PoisonPractice"/>.</summary>
public sealed record PoisonOptions
{
    /// <summary>First sample of the poisoned batch; the sixth batch of the run when it is negative.</summary>
    public long Sample { get; init; } = -1;
}

/// <summary>Makes the gradient of one batch of the stream not finite, whatever step reads it.</summary>
[Component("poison")]
public sealed class PoisonPractice(PoisonOptions options, FlatParameters parameters) : Practice
{
    private bool poisoned;
    private readonly Dictionary<long, int> numbers = [];

    /// <inheritdoc/>
    public override TokenBatch BeforeBatch(PracticeContext context, TokenBatch batch)
    {
        var sample = batch.SampleIds[0];
        numbers.TryAdd(sample, numbers.Count);
        poisoned = options.Sample < 0 ? numbers[sample] == 5 : sample == options.Sample;
        return batch;
    }

    /// <inheritdoc/>
    public override void AfterBackward(PracticeContext context)
    {
        if (!poisoned) return;
        using var first = parameters.Gradients.narrow(0, 0, 1);
        first.fill_(float.NaN);
    }
}

/// <summary>What every policy does with a batch whose gradient is not finite, in a real run.</summary>
public sealed class SpikePolicyTests : IDisposable
{
    private readonly string place = Directory.CreateTempSubdirectory("perennial-spikes-").FullName;
    private readonly ComponentRegistry components = House.WithTests;

    public SpikePolicyTests()
    {
        TorchRuntime.EnsureLoaded();
        File.WriteAllText(Path.Combine(place, "text.txt"), string.Concat(Enumerable.Range(0, 3000).Select(i => $"the square of {i} is {(long)i * i}.\n\n")));
    }

    public void Dispose() => Directory.Delete(place, recursive: true);

    private (RunResult? Result, List<RunEvent> Events, PerennialException? Error) Run(string run, string policy, int steps = 12, long? stopAt = null, long sample = -1)
    {
        var recipe = new RecipeLoader(components).Parse($$"""
            name: spikes
            data:
              sources: [{ path: {{Path.Combine(place, "text.txt")}}, split: paragraph }]
              tokenizer: { kind: bpe, vocabulary: 300 }
              cache: {{Path.Combine(place, "cache")}}
            model: { kind: llama, layers: 1, width: 16, heads: 2, context: 16 }
            optimizer: { rate: 1e-2 }
            training: { steps: {{steps}}, batch: 2, precision: float32, threads: 1, on-spike: { action: {{policy}} } }
            practices: [{ kind: poison, sample: {{sample}} }]
            resilience: { snapshot: 3 steps, checkpoint: 3 steps, keep: 9 }
            evaluation: { every: 0 steps, tasks: [], prompts: [] }
            """, "spikes.yaml");
        var recorder = new Recorder();
        try
        {
            return (new TrainingRun(components).Execute(recipe, new TrainingRunOptions { RunFolder = Path.Combine(place, run), StopAtStep = stopAt }, [recorder]), recorder.Events, null);
        }
        catch (PerennialException error)
        {
            return (null, recorder.Events, error);
        }
    }

    [Fact]
    public void Skip_leaves_the_batch_out_and_goes_on()
    {
        var (result, events, _) = Run("skip", "skip");
        Assert.Equal(12, result!.Step);
        var refused = Assert.Single(events.OfType<StepRefused>());
        Assert.Equal((6, "skip"), (refused.Step, refused.Action));
        Assert.Equal(2, refused.SampleIds.Count);
        Assert.All(events.OfType<StepDone>(), step => Assert.True(double.IsFinite(step.Loss)));
    }

    [Fact]
    public void Roll_back_repeats_the_steps_since_the_snapshot_and_leaves_the_batch_out()
    {
        var (result, events, _) = Run("back", "roll-back");
        Assert.Equal(12, result!.Step);
        Assert.Equal("roll-back", Assert.Single(events.OfType<StepRefused>()).Action);
        // The snapshot was taken after step 3, so steps 4 and 5 are made twice, to the same losses.
        var losses = events.OfType<StepDone>().Where(step => step.Step is 4 or 5).GroupBy(step => step.Step).ToList();
        Assert.Equal(2, losses.Count);
        Assert.All(losses, twice => Assert.Equal(2, twice.Count()));
        Assert.All(losses, twice => Assert.Single(twice.Select(step => step.Loss).Distinct()));
        // Nothing but the batch is missing: the same future as skipping it.
        Assert.Equal(Run("skip", "skip").Events.OfType<StepDone>().Last().Loss, events.OfType<StepDone>().Last().Loss);
    }

    [Fact]
    public void A_run_interrupted_after_a_roll_back_ends_the_same()
    {
        var sample = Assert.Single(Run("first", "skip").Events.OfType<StepRefused>()).SampleIds[0];
        var through = Run("through", "roll-back", sample: sample).Result!;
        Assert.False(Run("stopped", "roll-back", stopAt: 8, sample: sample).Result!.Completed);
        Assert.Equal(through.StateHash, Run("stopped", "roll-back", sample: sample).Result!.StateHash);
    }

    [Fact]
    public void Lower_rate_halves_the_rate_from_there_on()
    {
        var plain = Run("skip", "skip").Events.OfType<StepDone>().Last();
        Assert.Equal(plain.Rate / 2, Run("lower", "lower-rate").Events.OfType<StepDone>().Last().Rate, 1e-15);
    }

    [Fact]
    public void Stop_saves_the_last_committed_step_and_another_policy_goes_on()
    {
        var (_, events, error) = Run("stop", "stop");
        Assert.Equal(ExitCode.Failed, error!.Code);
        Assert.Contains("the gradient norm is NaN", error.Message, StringComparison.Ordinal);
        Assert.Equal(5, events.OfType<CheckpointWritten>().Last().Step);
    }

    private sealed class Recorder : IRunObserver
    {
        public List<RunEvent> Events { get; } = [];

        public void Observe(RunEvent happened) => Events.Add(happened);
    }
}
