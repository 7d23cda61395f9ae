using Perennial.Core.Recipes;
using Perennial.Data;
using Perennial.Evaluation.Tasks;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Mixing;
using Perennial.Models;
using Perennial.Objectives;
using Perennial.Optimization;
using Perennial.Training.Runs;

namespace Perennial.Experiments.Tests;

public sealed class RecordedTrainingTests
{
    private const string Yaml = """
        name: skills
        seed: 1
        data:
          sources: [{ path: lego }]
          tokenizer: { kind: bpe, vocabulary: 257 }
          holdout: 0.1
          probe: 0.5
          packing: best-fit
          documents: separate
        model: { kind: llama, layers: 1, width: 16, heads: 2, context: 20, tied-head: true }
        training: { steps: 40, batch: 8, precision: float32, threads: 1 }
        resilience: { checkpoint: 0 steps, keep: 1 }
        evaluation: { every: 25%, tasks: [answers], prompts: [] }
        """;

    private static readonly ComponentRegistry Components = ComponentRegistry.Scan(
        [typeof(DataOptions).Assembly, typeof(Decoder).Assembly, typeof(CausalObjective).Assembly, typeof(AdamW).Assembly, typeof(TrainingRun).Assembly, typeof(ActivationOutliersTask).Assembly]);

    private sealed class At(double share, Action act) : IProgress<double>
    {
        public void Report(double value)
        {
            if (value >= share) act();
        }
    }

    private static ExperimentOutcome Measure(string folder, double stopAt)
    {
        using var stop = new CancellationTokenSource();
        Directory.CreateDirectory(folder);
        return new LegoExperiment(new LegoExperimentOptions { Variables = 2, Samples = 200 }).Measure(new ExperimentContext
        {
            Seed = 1, Recipe = RecipeDocument.Parse(Yaml, "skills.yaml"), Folder = folder, Components = Components, Program = new ProgramCommand("none", []), Progress = new At(stopAt, stop.Cancel), Cancellation = stop.Token,
        });
    }

    /// <summary>The first evaluations are told to one call, the last ones to another; the measures are of all of them.</summary>
    [Theory]
    [InlineData(0.3)]
    [InlineData(0.8)]
    public void What_was_measured_before_a_stop_counts(double stopAt)
    {
        using var folder = new TemporaryFolder();
        var whole = Measure(folder["whole"], 2);
        Assert.Throws<OperationCanceledException>(() => Measure(folder["stopped"], stopAt));
        var resumed = Measure(folder["stopped"], 2);
        Assert.Equal(whole.Measures, resumed.Measures);
        Assert.Equal(whole.Curves[0].Points, resumed.Curves[0].Points);
        Assert.Equal(whole.Tokens, resumed.Tokens);
        // Nothing is left to do, and all is known.
        Assert.Equal(whole.Measures, Measure(folder["stopped"], 2).Measures);
    }
}
