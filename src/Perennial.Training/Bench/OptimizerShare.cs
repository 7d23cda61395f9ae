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
/// <param name="AdamWUpdate">Median seconds of finite test, norm, clip and AdamW in it.</param>
/// <param name="OtherUpdate">The same with the optimizer.</param>
/// <param name="Extra">Median over pairs of steps of other / AdamW − 1.</param>
public sealed record OptimizerShareResult(string Kind, string Shape, double AdamW, double Other, double AdamWUpdate, double OtherUpdate, double Extra);

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
        List<StepTime> adams = [], others = [];
        for (var step = 1; step <= steps + 2; step++)
        {
            // Each is the first of its pair as often as the second.
            StepTime a, b;
            if (step % 2 == 0) (a, b) = (plain.Run(step), other.Run(step));
            else (b, a) = (other.Run(step), plain.Run(step));
            if (step <= 2) continue;
            adams.Add(a);
            others.Add(b);
        }
        double Middle(IEnumerable<double> values) => Quantile.Median([.. values]);
        return new(
            kind, shape.Name, Middle(adams.Select(time => time.Total)), Middle(others.Select(time => time.Total)),
            Middle(adams.Select(time => time.Optimizer)), Middle(others.Select(time => time.Optimizer)), Middle(adams.Zip(others, (a, b) => b.Total / a.Total - 1)));
    }
}
