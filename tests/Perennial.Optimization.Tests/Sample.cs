using Perennial.Core;
using Perennial.Core.Recipes;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization.Tests;

/// <summary>Parameters of every kind that optimizers tell apart, and gradients to step them with.</summary>
internal static class Sample
{
    public static readonly ComponentRegistry Components = ComponentRegistry.Scan([typeof(AdamW).Assembly]);

    /// <summary>A table, wide, tall, square and fused matrices (sizes that vectors of eight do not divide), a large one, vectors.</summary>
    public static FlatParameters Parameters()
    {
        var parameters = new FlatParameters(FlatLayout.Of([
            new FlatEntry("table", 0, [20, 7], true) { Kind = EntryKind.Table },
            new FlatEntry("wide", 0, [6, 19], true), new FlatEntry("tall", 0, [21, 5], true), new FlatEntry("square", 0, [8, 8], true),
            new FlatEntry("fused", 0, [6, 16], true) { Columns = [6, 5, 5] },
            new FlatEntry("large", 0, [40, 21], true),
            new FlatEntry("norm", 0, [13], false), new FlatEntry("bias", 0, [3], false)]));
        Draw(parameters.Values, 3, 0.1);
        return parameters;
    }

    public static void Draw(Tensor target, int seed, double scale)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator((ulong)seed);
        target.copy_(randn(target.NumberOfElements, generator: generator) * scale);
    }

    public static ComponentSpec<IOptimizer> Spec(string yaml) => new RecipeBinder(Components).Bind<ComponentSpec<IOptimizer>>(RecipeDocument.Parse(yaml, "optimizer"));

    public static TheoryData<string> Kinds() => [.. Components.Kinds(typeof(IOptimizer)), "{ kind: adamw-8bit, smallest: 64 }", "{ kind: muon, tables: true }", "{ kind: sgd, momentum: 0.9 }", "{ kind: adafactor, momentum: 0.9 }", "{ kind: lion, momentum: bfloat16 }"];

    public static double[,] Matrix(double[] values, FlatEntry entry) => PlainAlgebra.Fill((int)entry.Shape[0], (int)entry.Shape[1], (i, j) => values[entry.Offset + i * entry.Shape[1] + j]);

    public static double[,] Columns(double[,] matrix, int first, int count) => PlainAlgebra.Fill(matrix.GetLength(0), count, (i, j) => matrix[i, first + j]);

    public static float[] Floats(Tensor tensor) => tensor.data<float>().ToArray();
}
