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

/// <summary>Updates layer by layer, with gradients that share memory, against the whole gradient at once.</summary>
public sealed class PerLayerTests : IDisposable
{
    private readonly string place = Directory.CreateTempSubdirectory("perennial-per-layer-").FullName;
    private readonly ComponentRegistry components = House.WithTests;

    public PerLayerTests()
    {
        TorchRuntime.EnsureLoaded();
        File.WriteAllText(Path.Combine(place, "text.txt"), string.Concat(Enumerable.Range(0, 500).Select(i => $"the square of {i} is {(long)i * i}.\n\n")));
    }

    public void Dispose() => Directory.Delete(place, recursive: true);

    private RunResult Run(string run, string optimizer, string training, string model = "{ kind: llama, layers: 2, width: 32, heads: 2, context: 16 }", string practices = "[]", long? stopAt = null)
    {
        var recipe = new RecipeLoader(components).Parse($$"""
            name: per-layer
            data:
              sources: [{ path: {{Path.Combine(place, "text.txt")}}, split: paragraph }]
              tokenizer: { kind: bpe, vocabulary: 270 }
              cache: {{Path.Combine(place, "cache")}}
            model: {{model}}
            optimizer: {{optimizer}}
            training: { steps: 6, batch: 2, precision: float32, threads: 1, {{training}} }
            practices: {{practices}}
            evaluation: { every: 0 steps, tasks: [], prompts: [] }
            """, "per-layer.yaml");
        return new TrainingRun(components).Execute(recipe, new TrainingRunOptions { RunFolder = Path.Combine(place, run), StopAtStep = stopAt }, []);
    }

    [Theory]
    [InlineData("{ kind: adamw, clip: 0 }", "{ kind: llama, layers: 2, width: 32, heads: 2, context: 16 }")]
    [InlineData("{ kind: adamw, clip: 0 }", "{ kind: llama, layers: 2, width: 32, heads: 2, context: 16, tied-head: true }")]
    [InlineData("{ kind: adamw, clip: 0 }", "{ kind: gpt2, layers: 2, width: 32, heads: 2, context: 16 }")]
    [InlineData("{ kind: muon, clip: 0, products: float32 }", "{ kind: qwen2, layers: 2, width: 32, heads: 2, context: 16 }")]
    [InlineData("{ kind: galore, rank: 8, update-gap: 4 }", "{ kind: llama, layers: 2, width: 32, heads: 2, context: 16 }")]
    [InlineData("{ kind: schedule-free-adamw, clip: 0 }", "{ kind: llama, layers: 2, width: 32, heads: 2, context: 16 }")]
    public void The_weights_are_those_of_updates_at_once(string optimizer, string model)
    {
        var whole = Run("whole", optimizer, "micro-batch: 2", model);
        var layers = Run("layers", optimizer, "per-layer: true", model);
        // The state holds the history of gradient norms, summed in another order: the losses tell.
        Assert.Equal(whole.Loss, layers.Loss, 1e-9);
        Assert.Equal(Weights("whole"), Weights("layers"));
        Run("stopped", optimizer, "per-layer: true", model, stopAt: 3);
        Assert.Equal(layers.StateHash, Run("stopped", optimizer, "per-layer: true", model).StateHash);
    }

    private byte[] Weights(string run) => File.ReadAllBytes(Path.Combine(Directory.GetDirectories(Path.Combine(place, run, "checkpoints")).Single(folder => folder.EndsWith('6')), "model.safetensors"));

    [Fact]
    public void The_gradient_buffer_holds_a_table_and_a_group()
    {
        var config = new LlamaArchitecture(new LlamaOptions { Layers = 4, Width = 64, Heads = 4, Context = 16 }).Describe(300, 0);
        using var model = new Decoder(config, execution: new DecoderExecution { SharedGradients = true });
        var vectors = model.Parameters.Layout.Entries.Where(entry => entry.Kind == EntryKind.Vector).Sum(entry => entry.Length);
        Assert.Equal(300 * 64 + 2 * config.Intermediate * 64 + vectors, model.Parameters.Gradients.NumberOfElements);
    }

    [Theory]
    [InlineData("{ kind: adamw }", "per-layer: true", "[]", "optimizer.clip")]
    [InlineData("{ kind: adamw, clip: 0 }", "per-layer: true, micro-batch: 1", "[]", "micro-batch")]
    [InlineData("{ kind: adamw, clip: 0 }", "per-layer: true", "[{ kind: poison }]", "poison")]
    [InlineData("{ kind: adamw, clip: 0 }", "per-layer-clip: 1", "[]", "per-layer-clip")]
    public void What_cannot_go_together_is_refused_at_the_door(string optimizer, string training, string practices, string named)
    {
        var error = Assert.Throws<PerennialException>(() => Run("refused", optimizer, training, practices: practices));
        Assert.Equal(ExitCode.Usage, error.Code);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_limit_for_each_tensor_bends_the_path()
    {
        Assert.NotEqual(Run("free", "{ kind: sgd }", "per-layer: true").Loss, Run("limited", "{ kind: sgd }", "per-layer: true, per-layer-clip: 0.01").Loss);
    }
}
