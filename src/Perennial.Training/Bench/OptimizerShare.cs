using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Optimization;
using Perennial.Tensors;

namespace Perennial.Training.Bench;

/// <summary>A whole training step with one optimizer beside one with AdamW.</summary>
/// <param name="Kind">The optimizer.</param>
/// <param name="Shape">The shape's name.</param>
/// <param name="AdamW">Median seconds of forward, backward and AdamW.</param>
/// <param name="Other">The same with the optimizer in its place.</param>
/// <param name="Extra">Median over pairs of steps of other / AdamW − 1.</param>
public sealed record OptimizerShareResult(string Kind, string Shape, double AdamW, double Other, double Extra);

/// <summary>What changing the optimizer does to the time of a whole step; the two kinds of step are timed in alternation.</summary>
public static class OptimizerShare
{
    /// <summary>Measures.</summary>
    /// <param name="components">Where optimizers are found.</param>
    /// <param name="kind">The optimizer.</param>
    /// <param name="shape">The model and batch.</param>
    /// <param name="precision">Of forward and backward.</param>
    /// <param name="steps">Timed pairs.</param>
    public static OptimizerShareResult Run(ComponentRegistry components, string kind, BenchShape shape, Precision precision, int steps)
    {
        ArgumentNullException.ThrowIfNull(shape);
        var spec = new RecipeBinder(components).Bind<ComponentSpec<IOptimizer>>(RecipeDocument.Parse(kind, kind));
        using var plain = new FusedStep(shape, precision);
        using var other = new FusedStep(shape, precision, parameters => spec.Create(parameters));
        List<double> adams = [], others = [], ratios = [];
        for (var step = 1; step <= steps + 2; step++)
        {
            // Each is the first of its pair as often as the second.
            double a, b;
            if (step % 2 == 0) (a, b) = (plain.Run(step).Total, other.Run(step).Total);
            else (b, a) = (other.Run(step).Total, plain.Run(step).Total);
            if (step <= 2) continue;
            adams.Add(a);
            others.Add(b);
            ratios.Add(b / a - 1);
        }
        return new(kind, shape.Name, Quantile.Median(adams), Quantile.Median(others), Quantile.Median(ratios));
    }
}
