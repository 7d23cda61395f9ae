using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>
/// y = x·F + s·(x·Aᵀ)·Bᵀ: a frozen dense part (or none) and a low-rank one, for one matrix or several that read the same input. Neither
/// W nor its gradient ever exists; x·Aᵀ is computed again in backward.
/// </summary>
/// <typeparam name="T">Storage of operands and products.</typeparam>
internal sealed unsafe class LowRankLayer<T> : ILinear<T>
    where T : struct, IStorage
{
    private readonly FlatParameters parameters;
    private readonly ActivationPool pool;
    private readonly LinearBias<T> bias;
    private readonly string[] namesOfA;
    private readonly Tensor a, gradientOfA;
    private readonly Tensor? frozenForward, frozenBackward;
    private readonly Part[] parts;
    private readonly long ranks;
    private readonly float scale;

    /// <param name="parameters">Factors and their gradients.</param>
    /// <param name="compute">The factors that products read, laid out as the parameters are.</param>
    /// <param name="map">Where everything lies.</param>
    /// <param name="frozen">The frozen parts that products read; null for none.</param>
    /// <param name="matrices">The matrices, neighbours in their layouts.</param>
    /// <param name="biases">Names of the biases.</param>
    /// <param name="pool">Lends x·Aᵀ and its gradient.</param>
    public LowRankLayer(FlatParameters parameters, Tensor compute, WeightMap map, Tensor? frozen, WeightMatrix[] matrices, string[] biases, ActivationPool pool)
    {
        (this.parameters, this.pool) = (parameters, pool);
        bias = new LinearBias<T>(parameters, biases);
        namesOfA = [.. matrices.Select(matrix => matrix.A!.Name)];
        scale = (float)matrices[0].Scale;
        using var scope = NewDisposeScope();
        a = parameters.Join(compute, namesOfA).DetachFromDisposeScope();
        gradientOfA = parameters.Join(parameters.Gradients, namesOfA).DetachFromDisposeScope();
        if (frozen is not null)
        {
            var own = FlatParameters.Join(map.FrozenLayout, frozen, [.. matrices.Select(matrix => matrix.Frozen!.Name)]).DetachFromDisposeScope();
            var turned = own.t().DetachFromDisposeScope();
            (frozenForward, frozenBackward) = matrices[0].InputFirst ? (own, turned) : (turned, own);
        }
        parts = new Part[matrices.Length];
        for (var i = 0; i < parts.Length; i++)
        {
            var b = matrices[i].B!;
            parts[i] = new Part(b.Name, FlatParameters.View(compute, b).DetachFromDisposeScope(), FlatParameters.View(parameters.Gradients, b).DetachFromDisposeScope(), Outputs, ranks, b.Shape[0], b.Shape[1]);
            Outputs += b.Shape[0];
            ranks += b.Shape[1];
        }
    }

    /// <inheritdoc/>
    public long Outputs { get; }

    /// <inheritdoc/>
    public float* Bias => bias.Address;

    /// <inheritdoc/>
    public void Forward(Activation x, Activation y)
    {
        using var scope = NewDisposeScope();
        var low = Low(x);
        if (frozenForward is not null) y.Tensor.addmm_(x.Tensor, frozenForward, 0, 1);
        foreach (var part in parts)
            y.Tensor.narrow(1, part.Output, part.Outputs).addmm_(low.Tensor.narrow(1, part.Row, part.Rank), part.B.t(), frozenForward is null ? 0 : 1, scale);
        pool.Return(low);
    }

    /// <inheritdoc/>
    public void BackwardInput(Activation dy, Activation dx)
    {
        using var scope = NewDisposeScope();
        var low = LowGradient(dy);
        if (frozenBackward is not null) dx.Tensor.addmm_(dy.Tensor, frozenBackward, 0, 1);
        dx.Tensor.addmm_(low.Tensor, a, frozenBackward is null ? 0 : 1, 1);
        pool.Return(low);
    }

    /// <inheritdoc/>
    public void BackwardWeight(Activation x, Activation dy)
    {
        using var scope = NewDisposeScope();
        var low = Low(x);
        foreach (var part in parts)
            Add(part.Gradient, dy.Tensor.narrow(1, part.Output, part.Outputs).t(), low.Tensor.narrow(1, part.Row, part.Rank), parameters.GradientScale(part.Name), scale);
        pool.Return(low);
        var slope = LowGradient(dy);
        Add(gradientOfA, slope.Tensor.t(), x.Tensor, parameters.GradientScale(namesOfA), 1);
        pool.Return(slope);
        bias.Backward(dy);
    }

    public void Dispose()
    {
        bias.Dispose();
        a.Dispose();
        gradientOfA.Dispose();
        frozenForward?.Dispose();
        frozenBackward?.Dispose();
        foreach (var part in parts)
        {
            part.B.Dispose();
            part.Gradient.Dispose();
        }
    }

    /// <summary>x·Aᵀ of all matrices side by side, <c>[tokens, Σr]</c>.</summary>
    private Activation Low(Activation x)
    {
        var low = pool.Compute(x.Tensor.shape[0], ranks);
        low.Tensor.addmm_(x.Tensor, a.t(), 0, 1);
        return Rounded(low);
    }

    /// <summary>s·dy·B, its gradient.</summary>
    private Activation LowGradient(Activation dy)
    {
        var low = pool.Compute(dy.Tensor.shape[0], ranks);
        foreach (var part in parts)
            low.Tensor.narrow(1, part.Row, part.Rank).addmm_(dy.Tensor.narrow(1, part.Output, part.Outputs), part.B, 0, scale);
        return Rounded(low);
    }

    /// <summary>A product that is an operand next: rounded where products of float32 cells stand for bfloat16 ones.</summary>
    private static Activation Rounded(Activation made)
    {
        if (T.Rounds && T.Size == sizeof(float)) Bfloat16.Copy<T>(made.Tensor, made.Tensor);
        return made;
    }

    private static void Add(Tensor gradient, Tensor left, Tensor right, float keep, float factor)
    {
        if (T.Size == sizeof(float)) gradient.addmm_(left, right, keep, factor);
        else if (keep == 0) gradient.copy_(mm(left, right)).mul_(factor);
        else gradient.add_(mm(left, right), alpha: factor);
    }

    private readonly record struct Part(string Name, Tensor B, Tensor Gradient, long Output, long Row, long Outputs, long Rank);
}
