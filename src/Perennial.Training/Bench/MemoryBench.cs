using Perennial.Models;
using Perennial.Optimization;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Bench;

/// <summary>What training takes of memory under one parameterization, in one process.</summary>
/// <param name="Kind">The parameterization.</param>
/// <param name="Parameters">Trained numbers.</param>
/// <param name="FormulaBytes">What the formulas in the components' comments add up to, with AdamW.</param>
/// <param name="ResidentBytes">By how much the process's resident memory grew while weights, gradients and moments were made and one optimizer step went over them.</param>
/// <param name="PeakBytes">The process's peak resident memory after a whole training step of one sequence.</param>
public sealed record MemoryBenchResult(string Kind, long Parameters, long FormulaBytes, long ResidentBytes, long PeakBytes)
{
    /// <summary>Relative distance of the measured from the formula.</summary>
    public double Error => (ResidentBytes - FormulaBytes) / (double)FormulaBytes;
}

/// <summary>
/// Measures, in the process it is called in, what a parameterization takes: resident memory as the system counts it (<c>/proc/self/statm</c>), not
/// what was asked for. Call it once a process, for memory that was used before would be used again.
/// </summary>
public static class MemoryBench
{
    /// <summary>What is measured by name, at width 512: rank 128 as in the papers' smallest model.</summary>
    public static IReadOnlyDictionary<string, WeightForm> Forms { get; } = new Dictionary<string, WeightForm>
    {
        ["dense"] = new DenseParameterization().Form,
        ["lora"] = new LoraParameterization(new LoraOptions { Rank = 128, Alpha = 32 }).Form,
        ["relora"] = new ReloraParameterization(new ReloraOptions { Rank = 128, Alpha = 32 }).Form,
        ["low-rank"] = new LowRankParameterization(new LowRankTrainingOptions { Rank = 128, Alpha = 32 }).Form,
        ["sltrain"] = new SltrainParameterization(new SltrainOptions { Rank = 128, Alpha = 32, Density = 0.03 }).Form,
        ["sparse"] = new SparseParameterization(new SparseOptions { Sparsity = 0.75 }).Form,
    };

    private static DecoderConfig Config(int layers) => new LlamaArchitecture(new LlamaOptions { Layers = layers, Width = 512, Heads = 8, Context = 256, TiedHead = true }).Describe(8192, 0);

    /// <summary>Measures one.</summary>
    /// <param name="kind">A key of <see cref="Forms"/>.</param>
    /// <param name="layers">Blocks.</param>
    /// <exception cref="PlatformNotSupportedException">The system does not tell resident memory.</exception>
    public static MemoryBenchResult Run(string kind, int layers)
    {
        ArgumentNullException.ThrowIfNull(kind);
        var form = Forms[kind];
        // What the runtime and libtorch take for their own is taken before the first look.
        using (var small = new Subject(form, Config(1) with { Width = 64, Heads = 4, KeyValueHeads = 4, HeadWidth = 16, Intermediate = 128, Vocabulary = 512 })) small.Step();
        TorchRuntime.ReleaseFreeMemory();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        var before = Resident();
        using var subject = new Subject(form, Config(layers));
        subject.Update();
        TorchRuntime.ReleaseFreeMemory();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        var grown = Resident() - before;
        subject.Step();
        return new MemoryBenchResult(kind, subject.Model.Parameters.Layout.Length, Formula(subject.Model), grown, Runs.MemoryEstimate.PeakResident() ?? 0);
    }

    /// <summary>16 bytes for every trained number (weight, gradient, two moments), 4 for every frozen one, and the places of sparse parts. The one dense weight that exists at a time is touched only by products: it shows in the peak.</summary>
    private static long Formula(Decoder model)
    {
        var map = model.Map;
        return 16 * model.Parameters.Layout.Length + 4 * (map?.FrozenLayout.Length ?? 0) + (map?.Matrices.Sum(matrix => matrix.Support is null ? 0 : 4L * (matrix.Support.Count + matrix.Rows + 1)) ?? 0);
    }

    private static long Resident()
    {
        const string path = "/proc/self/statm";
        if (!File.Exists(path)) throw new PlatformNotSupportedException("resident memory is read from /proc/self/statm, which this system lacks");
        return long.Parse(File.ReadAllText(path).Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture) * Environment.SystemPageSize;
    }

    private sealed class Subject : IDisposable
    {
        private readonly AdamW optimizer;

        public Subject(WeightForm form, DecoderConfig config)
        {
            Model = Decoder.Fresh(config, 1, map: form.IsPlain ? null : new WeightMap(config, form, 1));
            optimizer = new AdamW(new AdamWOptions(), Model.Parameters);
        }

        public Decoder Model { get; }

        /// <summary>Writes every gradient, and the optimizer every moment: all pages are there.</summary>
        public void Update()
        {
            using var _ = no_grad();
            Model.Parameters.Gradients.fill_(1e-4f);
            optimizer.Step(1, 1e-6, 1);
        }

        /// <summary>A whole training step of one sequence.</summary>
        public void Step()
        {
            using var scope = NewDisposeScope();
            var tokens = new long[Model.Config.Context];
            Model.Parameters.ClearGradients();
            new Objectives.CausalObjective().Loss(Model, new Data.TokenBatch(1, tokens.Length) { Inputs = tokens, Targets = tokens, SampleIds = [0] }, tokens.Length).backward();
            Model.Parameters.CompleteGradients();
            using var _ = no_grad();
            optimizer.Step(1, 1e-6, 1);
            Model.ParametersChanged();
        }

        public void Dispose()
        {
            optimizer.Dispose();
            Model.Dispose();
        }
    }
}
