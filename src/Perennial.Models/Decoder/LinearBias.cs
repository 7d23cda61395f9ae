using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>The bias of a linear layer: neighbouring entries of the flat parameters read as one, or nothing.</summary>
/// <typeparam name="T">Storage of the layer's outputs.</typeparam>
internal sealed unsafe class LinearBias<T> : IDisposable
    where T : struct, IStorage
{
    private readonly FlatParameters parameters;
    private readonly string[] names;
    private readonly Tensor? bias, gradient;

    /// <param name="parameters">Biases and their gradients.</param>
    /// <param name="names">Names that the family gives them; those that the layout lacks are passed over.</param>
    public LinearBias(FlatParameters parameters, string[] names)
    {
        this.parameters = parameters;
        this.names = [.. names.Where(parameters.Layout.Contains)];
        if (this.names.Length == 0) return;
        using var scope = NewDisposeScope();
        bias = parameters.Join(parameters.Values, this.names).DetachFromDisposeScope();
        gradient = parameters.JoinGradients(this.names).DetachFromDisposeScope();
    }

    /// <summary>float32 <c>[out]</c>; null when there is none.</summary>
    public float* Address => bias is null ? null : (float*)TensorMemory.Address<float>(bias);

    /// <summary>Adds the column sums of <paramref name="dy"/> to the flat gradient.</summary>
    public void Backward(Activation dy)
    {
        if (gradient is null) return;
        ColumnSum<T>.Add(dy.Tensor.shape[0], (int)dy.Tensor.shape[1], dy.Memory, (float*)TensorMemory.Address<float>(gradient), parameters.GradientScale(names));
        parameters.Written(names);
    }

    public void Dispose()
    {
        bias?.Dispose();
        gradient?.Dispose();
    }
}
