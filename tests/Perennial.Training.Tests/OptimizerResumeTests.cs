using Perennial.Core.Recipes;
using Perennial.Data;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Tensors;
using Perennial.Training.Recipes;
using Perennial.Training.Runs;

namespace Perennial.Training.Tests;

/// <summary>Every optimizer in a real run: stopped at any step and started again, the state is that of the run that was let through.</summary>
public sealed class OptimizerResumeTests : IDisposable
{
    private static readonly ComponentRegistry Components = House.Components;

    private readonly string place = Directory.CreateTempSubdirectory("perennial-optimizers-").FullName;

    public OptimizerResumeTests()
    {
        TorchRuntime.EnsureLoaded();
        File.WriteAllText(Path.Combine(place, "text.txt"), string.Concat(Enumerable.Range(0, 300).Select(i => $"the square of {i} is {(long)i * i}.\n\n")));
    }

    public static TheoryData<string> Kinds() => [.. Components.Kinds(typeof(IOptimizer)), "lion, momentum: bfloat16", "sgd, momentum: 0.9", "adafactor, momentum: 0.9"];

    public void Dispose() => Directory.Delete(place, recursive: true);

    private RunResult Run(string folder, string optimizer, long? stopAt = null)
    {
        var options = Components.All.First(component => component.Kind == optimizer.Split(',')[0] && component.Contract == typeof(IOptimizer)).Options!;
        var rare = options.IsAssignableTo(typeof(IPeriodicOptions)) ? ", update-gap: 3" : "";
        var small = options == typeof(AdamW8BitOptions) ? ", smallest: 64" : "";
        var recipe = new RecipeLoader(Components).Parse($$"""
            name: optimizers
            data:
              sources: [{ path: {{Path.Combine(place, "text.txt")}}, split: paragraph }]
              tokenizer: { kind: bpe, vocabulary: 270 }
              cache: {{Path.Combine(place, "cache")}}
            model: { kind: llama, layers: 1, width: 16, heads: 1, context: 16 }
            optimizer: { kind: {{optimizer}}{{rare}}{{small}} }
            training: { steps: 6, batch: 2, precision: float32, threads: 1 }
            resilience: { checkpoint: 2 steps, keep: 9 }
            evaluation: { every: 0 steps, tasks: [], prompts: [] }
            """, "optimizers.yaml");
        return new TrainingRun(Components).Execute(recipe, new TrainingRunOptions { RunFolder = Path.Combine(place, folder), StopAtStep = stopAt }, []);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Resume_is_exact(string optimizer)
    {
        var through = Run("through", optimizer);
        Assert.True(double.IsFinite(through.Loss));
        Assert.False(Run("stopped", optimizer, stopAt: 4).Completed);
        Assert.Equal(through.StateHash, Run("stopped", optimizer).StateHash);
        // A kill leaves the newest checkpoint and no goodbye: the last whole one is gone back to.
        foreach (var step in new[] { 5, 6 })
            if (Directory.Exists(Path.Combine(place, "through", "checkpoints", $"step-{step}"))) Directory.Delete(Path.Combine(place, "through", "checkpoints", $"step-{step}"), recursive: true);
        Assert.Equal(through.StateHash, Run("through", optimizer).StateHash);
    }

    [Fact]
    public void Schedule_free_weights_are_a_model_of_their_own_in_the_checkpoint()
    {
        Run("free", "schedule-free-adamw");
        var checkpoint = Path.Combine(place, "free", "checkpoints", "step-6");
        Assert.True(File.Exists(Path.Combine(checkpoint, "schedule-free", "model.safetensors")));
        Assert.NotEqual(File.ReadAllBytes(Path.Combine(checkpoint, "model.safetensors")), File.ReadAllBytes(Path.Combine(checkpoint, "schedule-free", "model.safetensors")));
    }
}
