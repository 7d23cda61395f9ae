using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Core.Safetensors;
using Perennial.Data;
using Perennial.Models;
using Perennial.Models.HuggingFace;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Tensors;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

/// <summary>Real runs with every parameterization: stopped and resumed, restarted in the middle, written as plain weights.</summary>
public sealed class ParameterizationRunTests : IDisposable
{
    private readonly string place = Directory.CreateTempSubdirectory("perennial-forms-").FullName;
    private readonly ComponentRegistry components = House.Components;

    public ParameterizationRunTests()
    {
        TorchRuntime.EnsureLoaded();
        File.WriteAllText(Path.Combine(place, "text.txt"), string.Concat(Enumerable.Range(0, 2000).Select(i => $"the square of {i} is {(long)i * i}.\n\n")));
    }

    public void Dispose() => Directory.Delete(place, recursive: true);

    private RunResult Run(string run, string form, long? stopAt = null, string model = "{ kind: llama, layers: 1, width: 32, heads: 2, context: 16 }", List<RunEvent>? events = null)
    {
        var recipe = new RecipeLoader(components).Parse($$"""
            name: forms
            data:
              sources: [{ path: {{Path.Combine(place, "text.txt")}}, split: paragraph }]
              tokenizer: { kind: bpe, vocabulary: 300 }
              cache: {{Path.Combine(place, "cache")}}
            model: {{model}}
            parameterization: {{form}}
            optimizer: { rate: 1e-2 }
            training: { steps: 14, batch: 4, precision: float32, threads: 1 }
            practices: [{ kind: ema }]
            resilience: { checkpoint: 5 steps, keep: 9 }
            evaluation: { every: 0 steps, tasks: [], prompts: ["the"], sample-tokens: 3 }
            """, "forms.yaml");
        return new TrainingRun(components).Execute(recipe, new TrainingRunOptions { RunFolder = Path.Combine(place, run), StopAtStep = stopAt }, [new Keeper(events ?? [])]);
    }

    [Theory]
    [InlineData("{ kind: lora, rank: 4 }")]
    [InlineData("{ kind: relora, rank: 4, every: 4, recover: 2, reset: random, keep: 0.1 }")]
    [InlineData("{ kind: relora, rank: 4, every: 4, recover: 2, reset: magnitude, keep: 0.2 }")]
    [InlineData("{ kind: low-rank, rank: 8, alpha: 16, restarts: { every: 4, recover: 2 } }")]
    [InlineData("{ kind: sltrain, rank: 4, density: 0.1, restarts: { every: 4, recover: 2 } }")]
    [InlineData("{ kind: sparse, sparsity: 0.75 }")]
    [InlineData("outlier-safe")]
    public void A_stopped_run_ends_in_the_same_state(string form)
    {
        var through = Run("through", form);
        Run("stopped", form, stopAt: 3);
        Run("stopped", form, stopAt: 9);
        Assert.Equal(through.StateHash, Run("stopped", form).StateHash);

        // The checkpoint's own weights are plain: a plain decoder loads them, the practice's average too.
        var checkpoint = Path.Combine(place, "through", "checkpoints", "step-14");
        if (!Directory.Exists(checkpoint)) checkpoint = Directory.GetDirectories(Path.Combine(place, "through", "checkpoints")).Max()!;
        foreach (var folder in new[] { checkpoint, Path.Combine(checkpoint, "ema") })
        {
            var config = ConfigJson.Read(folder);
            using var plain = new Decoder(config);
            WeightFiles.Read(folder, config, plain.Parameters.Layout, plain.Parameters.Values);
            Assert.True(plain.Parameters.Values.abs().max().item<float>() > 0);
        }
        using var factors = SafetensorsFile.Open(Path.Combine(checkpoint, "state", "parameters.safetensors"));
        Assert.Contains(factors.Entries, entry => entry.Name.Contains("lora_A", StringComparison.Ordinal) || entry.Name.Contains("sparse.values", StringComparison.Ordinal) || entry.Name == WeightMap.EmbeddingProjection);
    }

    [Fact]
    public void Masked_entries_stay_zero_and_a_dense_run_goes_on_from_them()
    {
        var events = new List<RunEvent>();
        Run("sparse", "{ kind: sparse, sparsity: 0.5, support-seed: 4 }", events: events);
        var sparse = Directory.GetDirectories(Path.Combine(place, "sparse", "checkpoints")).Order().Last();
        using (var file = SafetensorsFile.Open(Path.Combine(sparse, "model.safetensors")))
        {
            using var up = file.Read("model.layers.0.mlp.up_proj.weight");
            Assert.Equal(up.NumberOfElements / 2, up.count_nonzero(null).item<long>());
        }
        Assert.Contains(events.OfType<StepDone>(), step => step.Loss < events.OfType<StepDone>().First().Loss);
        var start = $"{{ kind: checkpoint, path: {sparse} }}";
        var dense = Run("dense", "dense", model: start);
        Assert.Equal(14, dense.Step);
        Assert.Equal(14, Run("lora", "{ kind: lora, rank: 2 }", model: start).Step);
        Assert.Equal(14, Run("again", "{ kind: sparse, sparsity: 0.5, support-seed: 4 }", model: start).Step);
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => Run("other", "{ kind: sparse, sparsity: 0.5, support-seed: 5 }", model: start)).Code);
        Assert.Equal(ExitCode.Usage, Assert.Throws<PerennialException>(() => Run("none", "{ kind: sltrain, rank: 2 }", model: start)).Code);
    }

    private sealed class Keeper(List<RunEvent> events) : IRunObserver
    {
        public void Observe(RunEvent happened) => events.Add(happened);
    }
}
