using System.Diagnostics;
using Perennial.Core;
using Perennial.Data.Benchmarks;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Bench;

/// <summary>What <c>bench train</c> is asked for.</summary>
public sealed record TrainBenchOptions
{
    /// <summary>What is timed.</summary>
    public IReadOnlyList<BenchShape> Shapes { get; init; } = [BenchShape.Quickstart, BenchShape.Gpt2];

    /// <summary>Compute precisions that are timed.</summary>
    public IReadOnlyList<Precision> Precisions { get; init; } = [Precision.Float32, Precision.Bfloat16];

    /// <summary>Timed steps; the median counts.</summary>
    public int Steps { get; init; } = 5;

    /// <summary>Steps made before, not timed.</summary>
    public int WarmUp { get; init; } = 2;

    /// <summary>Whether a plain composed float32 step is timed in alternation.</summary>
    public bool AgainstPlain { get; init; }
}

/// <summary>What was measured of one shape in one precision. Times are medians, seconds.</summary>
/// <param name="Shape">The shape's name.</param>
/// <param name="Precision">Compute precision.</param>
/// <param name="MicroRows">Sequences of a micro-batch.</param>
/// <param name="Tokens">Tokens of a step.</param>
/// <param name="Parameters">Parameters.</param>
/// <param name="Flops">Floating-point operations of a step (<see cref="TrainingFlops"/>).</param>
/// <param name="Step">Time of a step.</param>
/// <param name="Forward">Forward part.</param>
/// <param name="Backward">Backward part.</param>
/// <param name="Optimizer">Finite test, norm, clip and update.</param>
/// <param name="Loader">Time to read the step's windows from random places of a shard; not part of <paramref name="Step"/>.</param>
/// <param name="CeilingFlops">Matrix-product ceiling of this precision in FLOP/s, measured between the steps.</param>
/// <param name="Mfu">Median over steps of the step's FLOP/s over the ceiling measured next to it.</param>
/// <param name="OptimizerBytes">Bytes that norm and update read and write in main memory.</param>
/// <param name="ManagedBytes">Managed bytes allocated by a step.</param>
/// <param name="PlainStep">Time of the plain float32 step; null when not asked for.</param>
/// <param name="SpeedOverPlain">Median over steps of plain time over ours; null when not asked for.</param>
public sealed record TrainBenchResult(
    string Shape, Precision Precision, int MicroRows, long Tokens, long Parameters, double Flops, double Step, double Forward, double Backward,
    double Optimizer, double Loader, double CeilingFlops, double Mfu, long OptimizerBytes, long ManagedBytes, double? PlainStep, double? SpeedOverPlain)
{
    /// <summary>Tokens a second.</summary>
    public double TokensPerSecond => Tokens / Step;

    /// <summary>The optimizer's part of the step, 0 to 1.</summary>
    public double OptimizerShare => Optimizer / Step;

    /// <summary>What reading the step's windows would add to the step, 0 to 1.</summary>
    public double LoaderShare => Loader / Step;
}

/// <summary>
/// Times training steps beside the processor's matrix-product ceiling, in one process and in alternation, so that a
/// busy machine slows both alike.
/// </summary>
public static class TrainBench
{
    /// <summary>Measures, yielding each result as soon as it is there.</summary>
    public static IEnumerable<TrainBenchResult> Run(TrainBenchOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        foreach (var shape in options.Shapes)
            foreach (var precision in options.Precisions)
                yield return Measure(shape, precision, options);
    }

    /// <summary>FLOP/s of one square matrix product of side 2,048 in a precision, the fastest of a few (float32 where bfloat16 is emulated).</summary>
    public static double Ceiling(Precision precision)
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        const int side = 2048;
        var type = precision == Precision.Bfloat16 && Bfloat16.IsNative ? ScalarType.BFloat16 : ScalarType.Float32;
        Tensor a = HugePages.Empty(type, side, side), b = HugePages.Empty(type, side, side), c = HugePages.Empty(type, side, side);
        a.fill_(0.5);
        b.fill_(0.25);
        var best = double.PositiveInfinity;
        for (var i = 0; i < 5; i++)
        {
            var start = Stopwatch.GetTimestamp();
            c.addmm_(a, b, 0, 1);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        a.Dispose();
        b.Dispose();
        c.Dispose();
        return 2.0 * side * side * side / best;
    }

    // Far more than the caches hold.
    private const long LoaderShard = 256 << 20;

    private static TrainBenchResult Measure(BenchShape shape, Precision precision, TrainBenchOptions options)
    {
        using var fused = new FusedStep(shape, precision);
        using var plain = options.AgainstPlain ? new PlainStep(shape) : null;
        for (var step = 1; step <= options.WarmUp; step++)
        {
            fused.Run(step);
            plain?.Run(step);
        }
        var times = new List<StepTime>();
        var (ceilings, mfus, plains, ratios) = (new List<double>(), new List<double>(), new List<double>(), new List<double>());
        var before = Ceiling(precision);
        for (var step = 1; step <= options.Steps; step++)
        {
            times.Add(fused.Run(options.WarmUp + step));
            var after = Ceiling(precision);
            var ceiling = (before + after) / 2;
            ceilings.Add(ceiling);
            mfus.Add(shape.Flops / times[^1].Total / ceiling);
            before = after;
            if (plain is null) continue;
            plains.Add(plain.Run(options.WarmUp + step).Total);
            ratios.Add(plains[^1] / times[^1].Total);
            before = Ceiling(precision);
        }
        var parameters = Models.DecoderLayout.Of(shape.Config).Length;
        return new(
            shape.Name, precision, shape.MicroRows, shape.Tokens, parameters, shape.Flops, Quantile.Median(times.Select(t => t.Total)), Quantile.Median(times.Select(t => t.Forward)),
            Quantile.Median(times.Select(t => t.Backward)), Quantile.Median(times.Select(t => t.Optimizer)), LoaderBench.BatchSeconds(Path.GetTempPath(), LoaderShard, shape.Rows, shape.Time), Quantile.Median(ceilings), Quantile.Median(mfus),
            // Norm reads the gradient; the update reads weight, gradient and two moments and writes three of them.
            OptimizerBytes: parameters * sizeof(float) * 8, ManagedBytes: (long)Quantile.Median(times.Select(t => (double)t.ManagedBytes)),
            plain is null ? null : Quantile.Median(plains), plain is null ? null : Quantile.Median(ratios));
    }
}
