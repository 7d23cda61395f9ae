using Perennial.Models;
using Perennial.Optimization;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Bench;

/// <summary>What training takes of memory by one method, in one process.</summary>
/// <param name="Kind">The method.</param>
/// <param name="Parameters">Trained numbers.</param>
/// <param name="FormulaBytes">What the formulas in the components' comments add up to.</param>
/// <param name="ResidentBytes">By how much the process's resident memory grew while weights, gradients and optimizer state were made and one optimizer step went over them.</param>
/// <param name="PeakBytes">The process's peak resident memory after a whole training step of one sequence.</param>
public sealed record MemoryBenchResult(string Kind, long Parameters, long FormulaBytes, long ResidentBytes, long PeakBytes)
{
    /// <summary>Relative distance of the measured from the formula.</summary>
    public double Error => (ResidentBytes - FormulaBytes) / (double)FormulaBytes;
}

/// <summary>How a model is trained: what its blocks' matrices are made of, and by which optimizer.</summary>
/// <param name="Form">The matrices.</param>
/// <param name="Optimizer">Makes the optimizer, and tells its options.</param>
public sealed record MemoryMethod(WeightForm Form, Func<FlatParameters, (IOptimizer Optimizer, IOptimizerOptions Options)> Optimizer);

/// <summary>
/// Measures, in the process it is called in, what a method takes: resident memory as the system counts it (<c>/proc/self/statm</c>), not
/// what was asked for. Call it once a process, for memory that was used before would be used again.
/// </summary>
public static class MemoryBench
{
    /// <summary>What is measured by name, at width 512: rank 128 as in the papers' smallest model. Parameterizations under AdamW, and optimizers on dense matrices.</summary>
    public static IReadOnlyDictionary<string, MemoryMethod> Methods { get; } = new Dictionary<string, MemoryMethod>
    {
        ["dense"] = new(new DenseParameterization().Form, Adam),
        ["lora"] = new(new LoraParameterization(new LoraOptions { Rank = 128, Alpha = 32 }).Form, Adam),
        ["relora"] = new(new ReloraParameterization(new ReloraOptions { Rank = 128, Alpha = 32 }).Form, Adam),
        ["low-rank"] = new(new LowRankParameterization(new LowRankTrainingOptions { Rank = 128, Alpha = 32 }).Form, Adam),
        ["sltrain"] = new(new SltrainParameterization(new SltrainOptions { Rank = 128, Alpha = 32, Density = 0.03 }).Form, Adam),
        ["sparse"] = new(new SparseParameterization(new SparseOptions { Sparsity = 0.75 }).Form, Adam),
        ["adamw-8bit"] = new(new DenseParameterization().Form, parameters => (new AdamW8Bit(new AdamW8BitOptions(), parameters), new AdamW8BitOptions())),
        ["galore"] = new(new DenseParameterization().Form, parameters => (new GaLore(new GaLoreOptions { Rank = 128 }, parameters), new GaLoreOptions { Rank = 128 })),
        ["adafactor"] = new(new DenseParameterization().Form, parameters => (new Adafactor(new AdafactorOptions(), parameters), new AdafactorOptions())),
    };

    private static (IOptimizer, IOptimizerOptions) Adam(FlatParameters parameters) => (new AdamW(new AdamWOptions(), parameters), new AdamWOptions());

    private static DecoderConfig Config(int layers) => new LlamaArchitecture(new LlamaOptions { Layers = layers, Width = 512, Heads = 8, Context = 256, TiedHead = true }).Describe(8192, 0);

    /// <summary>Measures one.</summary>
    /// <param name="kind">A key of <see cref="Methods"/>.</param>
    /// <param name="layers">Blocks.</param>
    /// <exception cref="PlatformNotSupportedException">The system does not tell resident memory.</exception>
    public static MemoryBenchResult Run(string kind, int layers)
    {
        ArgumentNullException.ThrowIfNull(kind);
        var method = Methods[kind];
        // What libtorch and the allocator keep for every further thread belongs to no method: one thread until the second look. The peak is that of all.
        var threads = get_num_threads();
        set_num_threads(1);
        // What the runtime and libtorch take for their own is taken before the first look.
        using (var small = new Subject(method, Config(1) with { Width = 64, Heads = 4, KeyValueHeads = 4, HeadWidth = 16, Intermediate = 128, Vocabulary = 512 })) small.Step();
        TorchRuntime.ReleaseFreeMemory();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        var before = Resident();
        using var subject = new Subject(method, Config(layers));
        subject.Update();
        TorchRuntime.ReleaseFreeMemory();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        var grown = Resident() - before;
        set_num_threads(threads);
        subject.Step();
        return new MemoryBenchResult(kind, subject.Model.Parameters.Layout.Length, Formula(subject), grown, Runs.MemoryEstimate.PeakResident() ?? 0);
    }

    /// <summary>8 bytes for every trained number (weight and gradient), what the optimizer's formula says, 4 for every frozen number, and the places of sparse parts. The one dense weight that exists at a time is touched only by products: it shows in the peak.</summary>
    private static long Formula(Subject subject)
    {
        var (layout, map) = (subject.Model.Parameters.Layout, subject.Model.Map);
        return 8 * layout.Length + subject.Options.Cost(layout).StateBytes + 4 * (map?.FrozenLayout.Length ?? 0) + (map?.Matrices.Sum(matrix => matrix.Support is null ? 0 : 4L * (matrix.Support.Count + matrix.Rows + 1)) ?? 0);
    }

    private static long Resident()
    {
        const string path = "/proc/self/statm";
        if (!File.Exists(path)) throw new PlatformNotSupportedException("resident memory is read from /proc/self/statm, which this system lacks");
        return long.Parse(File.ReadAllText(path).Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture) * Environment.SystemPageSize;
    }

    private sealed class Subject : IDisposable
    {
        private readonly IOptimizer optimizer;

        public Subject(MemoryMethod method, DecoderConfig config)
        {
            Model = Decoder.Fresh(config, 1, map: method.Form.IsPlain ? null : new WeightMap(config, method.Form, 1));
            (optimizer, Options) = method.Optimizer(Model.Parameters);
        }

        public IOptimizerOptions Options { get; }

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
