using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>RMSNorm, or LayerNorm when there is a bias, after the residual addition. A weight of one number scales every channel.</summary>
/// <typeparam name="T">Storage of what is added and of what comes out.</typeparam>
internal sealed unsafe class NormLayer<T> : IDisposable
    where T : struct, IStorage
{
    private readonly FlatParameters parameters;
    private readonly string name;
    private readonly string? biasName;
    private readonly float epsilon;
    private readonly Tensor weight, weightGradient;
    private readonly Tensor? bias, biasGradient;
    private Tensor? spread, spreadGradient;

    public NormLayer(FlatParameters parameters, string name, double epsilon)
    {
        (this.parameters, this.name, this.epsilon) = (parameters, name, (float)epsilon);
        (weight, weightGradient) = (parameters.Value(name).DetachFromDisposeScope(), parameters.Gradient(name).DetachFromDisposeScope());
        biasName = DecoderNames.BiasOf(name);
        if (!parameters.Layout.Contains(biasName))
        {
            biasName = null;
            return;
        }
        (bias, biasGradient) = (parameters.Value(biasName).DetachFromDisposeScope(), parameters.Gradient(biasName).DetachFromDisposeScope());
    }

    private static float* Floats(Tensor? tensor) => tensor is null ? null : (float*)TensorMemory.Address<float>(tensor);

    /// <summary>sum ← x + added + addedBias (when there is something to add), h ← norm(sum).</summary>
    public void Forward(Activation x, Activation? added, float* addedBias, Activation? sum, void* h, Activation statistics) =>
        ResidualNorm<T>.Forward(Shape(x), x.Floats, added is null ? null : added.Memory, addedBias, sum is null ? null : sum.Floats,
            Weight(x), Floats(bias), h, statistics.Floats);

    /// <summary>dx (+)= the norm's part; <paramref name="operand"/> ← dx as the next product's operand; weight and bias gradients.</summary>
    public void Backward(void* dh, Activation x, Activation statistics, Activation dx, bool replace, Activation operand, ActivationPool pool)
    {
        var shape = Shape(x);
        var partials = pool.Exact(shape.Pieces * 2L, shape.Width);
        ResidualNorm<T>.Backward(shape, dh, x.Floats, statistics.Floats, Weight(x), bias is not null, dx.Floats, replace, operand.Memory, partials.Floats);
        if (spread is null) ResidualNorm<T>.Collect(shape, partials.Floats, 0, Floats(weightGradient), parameters.GradientScale(name));
        else CollectOne(shape, partials.Floats);
        if (biasName is not null) ResidualNorm<T>.Collect(shape, partials.Floats, 1, Floats(biasGradient), parameters.GradientScale(biasName));
        pool.Return(partials);
        parameters.Written(name);
        if (biasName is not null) parameters.Written(biasName);
    }

    public void Dispose()
    {
        spread?.Dispose();
        spreadGradient?.Dispose();
        weight.Dispose();
        weightGradient.Dispose();
        bias?.Dispose();
        biasGradient?.Dispose();
    }

    /// <summary>The weights by channel.</summary>
    private float* Weight(Activation x)
    {
        var width = x.Tensor.shape[1];
        if (weight.NumberOfElements == width) return Floats(weight);
        spread ??= HugePages.Zeros(width);
        TensorMemory.Span<float>(spread).Fill(*Floats(weight));
        return Floats(spread);
    }

    /// <summary>The gradient of the one number: the sum of what the channels would have.</summary>
    private void CollectOne(NormShape shape, float* partials)
    {
        spreadGradient ??= HugePages.Zeros(shape.Width);
        ResidualNorm<T>.Collect(shape, partials, 0, Floats(spreadGradient), 0);
        var sum = 0.0;
        foreach (var one in TensorMemory.Span<float>(spreadGradient)) sum += one;
        var target = Floats(weightGradient);
        *target = parameters.GradientScale(name) == 0 ? (float)sum : *target + (float)sum;
    }

    private NormShape Shape(Activation x) => new(x.Tensor.shape[0], (int)x.Tensor.shape[1], epsilon);
}
