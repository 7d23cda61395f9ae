using System.ComponentModel.DataAnnotations;
using Perennial.Core;
using Perennial.Experiments.Measured;
using Perennial.Experiments.Runs;
using static TorchSharp.torch;

namespace Perennial.Experiments.Resilience;

/// <summary>Options of <see cref="LayoutContinuity"/>.</summary>
public sealed record LayoutContinuityOptions
{
    /// <summary>The shape that is trained and saved.</summary>
    public string From { get; init; } = "data=2,tensor=2";

    /// <summary>The shapes that go on.</summary>
    [MinLength(1)]
    public IReadOnlyList<string> To { get; init; } = ["data=1", "data=4", "pipeline=2", "tensor=4", "data=4,zero=1"];

    /// <summary>Steps before the save.</summary>
    [Range(1, 100_000)]
    public int Before { get; init; } = 100;

    /// <summary>Steps after it.</summary>
    [Range(1, 100_000)]
    public int After { get; init; } = 50;
}

/// <summary>
/// Training goes on under another parallel shape: how far the losses of the next steps are from those without a change, and, as a control that the
/// comparison can see an error, how far when the optimizer's slots are left at zero (paper 47, reproduction 2).
/// </summary>
[Component("layout-continuity")]
public sealed class LayoutContinuity(LayoutContinuityOptions options) : IExperiment
{
    /// <inheritdoc/>
    public ExperimentOutcome Measure(ExperimentContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        var folder = Path.Combine(context.Folder, "saved");
        List<double> unchanged;
        using (var source = LayoutWorlds.Make(options.From, context.Seed))
        {
            LayoutWorlds.Train(source, context.Seed, 1, options.Before);
            LayoutWorlds.Save(source, folder, options.Before);
            unchanged = LayoutWorlds.Train(source, context.Seed, options.Before + 1, options.Before + options.After);
        }
        context.Progress.Report(0.3);
        var (worst, curves) = (0.0, new List<MeasuredCurve>());
        foreach (var shape in options.To)
        {
            var deviations = Deviations(context.Seed, folder, shape, unchanged, drop: false);
            worst = Math.Max(worst, deviations.Max());
            curves.Add(new($"Relative deviation after {options.From} → {shape}", "step after the change", "log₁₀ of |difference| / loss", [.. deviations.Select((value, i) => new CurvePoint(i + 1, Math.Log10(Math.Max(value, 1e-12))))]));
        }
        var same = Deviations(context.Seed, folder, options.From, unchanged, drop: false).Max();
        var dropped = Deviations(context.Seed, folder, options.From, unchanged, drop: true).Max();
        return new()
        {
            Measures = new Dictionary<string, double> { ["worst-deviation"] = worst, ["unchanged-deviation"] = same, ["dropped-slots-deviation"] = dropped, ["control-ratio"] = dropped / Math.Max(worst, 1e-12) },
            Curves = curves,
        };
    }

    private List<double> Deviations(ulong seed, string folder, string shape, List<double> unchanged, bool drop)
    {
        using var world = LayoutWorlds.Make(shape, seed + 1);
        world.Load(folder);
        if (drop)
            world.Each(rank =>
            {
                using var noGradient = no_grad();
                foreach (var slot in rank.Optimizer.Slots) slot.Values.zero_();
            });
        var losses = LayoutWorlds.Train(world, seed, options.Before + 1, options.Before + options.After);
        return [.. losses.Zip(unchanged, (one, other) => Math.Abs(one / other - 1))];
    }
}
