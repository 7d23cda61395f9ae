using System.Diagnostics;
using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Models;
using Perennial.Optimization;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Training.Bench;

/// <summary>What was measured of one optimizer. Times are seconds.</summary>
/// <param name="Kind">The recipe's word.</param>
/// <param name="Step">Median time of a step, its share of the rare steps that make a basis anew included.</param>
/// <param name="Refresh">Median time of such a rare step; 0 where there is none.</param>
/// <param name="Floor">What the step needs at least: moved bytes at the speed of a copy, plus products at the matrix-product ceiling, both measured next to it.</param>
/// <param name="StateBytes">Bytes of its slots, counted.</param>
/// <param name="FormulaBytes">Bytes by its documented formula.</param>
/// <param name="ResidentBytes">Growth of the process's resident memory by making the optimizer and taking steps, scratch included.</param>
/// <param name="Parameters">Parameters.</param>
public sealed record OptimizerBenchResult(string Kind, double Step, double Refresh, double Floor, long StateBytes, long FormulaBytes, long ResidentBytes, long Parameters)
{
    /// <summary>Time over floor.</summary>
    public double Ratio => Step / Floor;
}

/// <summary>How <see cref="OptimizerBench"/> measures.</summary>
public sealed record OptimizerBenchOptions
{
    /// <summary>Shape of the model.</summary>
    public BenchShape Shape { get; init; } = BenchShape.Quickstart;

    /// <summary>Timed steps of each kind.</summary>
    public int Steps { get; init; } = 15;

    /// <summary>Kinds to measure; all when empty.</summary>
    public IReadOnlyList<string> Kinds { get; init; } = [];
}

/// <summary>Times one step of every optimizer on a model's flat buffers against the machine's own floor, and counts its memory.</summary>
public static class OptimizerBench
{
    private static readonly TimeSpan Warm = TimeSpan.FromSeconds(4);

    /// <summary>Measures, yielding each result as soon as it is there.</summary>
    /// <param name="components">Where optimizers are found.</param>
    /// <param name="options">How.</param>
    /// <exception cref="PerennialException">Exit 2: an unknown kind.</exception>
    public static IEnumerable<OptimizerBenchResult> Run(ComponentRegistry components, OptimizerBenchOptions options)
    {
        ArgumentNullException.ThrowIfNull(components);
        ArgumentNullException.ThrowIfNull(options);
        var known = components.Kinds(typeof(IOptimizer));
        foreach (var kind in options.Kinds.Where(kind => !known.Contains(kind))) throw PerennialException.Usage($"--kinds: unknown optimizer '{kind}'{Nearest.Hint(kind, known)}");
        using var parameters = new FlatParameters(DecoderLayout.Of(options.Shape.Config));
        DecoderInitializer.Fill(parameters, options.Shape.Config, 1);
        using (no_grad())
        using (NewDisposeScope())
            parameters.Gradients.copy_(parameters.Values.roll(1).mul_(0.01));
        var binder = new RecipeBinder(components);
        foreach (var kind in options.Kinds.Count > 0 ? options.Kinds : known)
            yield return Measure(kind, binder.Bind<ComponentSpec<IOptimizer>>(RecipeDocument.Parse(kind, kind)), parameters, options.Steps);
    }

    private static OptimizerBenchResult Measure(string kind, ComponentSpec<IOptimizer> spec, FlatParameters parameters, int steps)
    {
        TorchRuntime.ReleaseFreeMemory();
        var before = Resident();
        using var optimizer = spec.Create(parameters);
        using var _ = no_grad();
        var cost = ((IOptimizerOptions)spec.Options!).Cost(parameters.Layout);
        var periodic = spec.Options as IPeriodicOptions;
        double Time(long step)
        {
            var start = Stopwatch.GetTimestamp();
            optimizer.Step(step, 1e-5, 1);
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
        for (var step = 1; step <= 3; step++) Time(step);
        TorchRuntime.ReleaseFreeMemory();
        var resident = Resident() - before;
        // The runtime compiles a method well when it has been called often, and begins to count a second after the start.
        for (var start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < Warm;) Time(3);
        List<double> plain = [], rare = [], floors = [];
        for (long step = 4, timed = 0; timed < steps; step++)
        {
            if (periodic?.IsRefresh(step) == true) continue;
            var copy = MachineProbe.CopySpeed(quick: true);
            var products = cost.Flops > 0 ? cost.Flops / TrainBench.Ceiling(cost.Products) : 0;
            var integers = cost.FixedOperations > 0 ? cost.FixedOperations / FixedCeiling.Measure() : 0;
            floors.Add(cost.MovedBytes / copy + products + integers);
            // The probes filled the caches with their own data: one step is for warming.
            Time(step);
            plain.Add(Time(step));
            timed++;
        }
        if (periodic is not null)
        {
            // Not the first: what makes the first basis may cost more than what makes the next.
            long step = 2;
            while (!periodic.IsRefresh(step)) step++;
            for (var i = 0; i < 3; i++) rare.Add(Time(step));
        }
        var (usual, refresh) = (Quantile.Median(plain), rare.Count == 0 ? 0 : Quantile.Median(rare));
        var share = periodic is null ? 0 : 1.0 / periodic.UpdateGap;
        return new(kind, usual * (1 - share) + refresh * share, refresh, Quantile.Median(floors), optimizer.Slots.Sum(slot => slot.Bytes), cost.StateBytes, resident, parameters.Layout.Length);
    }

    private static long Resident()
    {
        const string statistics = "/proc/self/statm";
        return File.Exists(statistics) ? long.Parse(File.ReadAllText(statistics).Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture) * Environment.SystemPageSize : Environment.WorkingSet;
    }
}
