using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>
/// y = x·W (+ b, added by whoever reads y): one entry of the flat parameters, or neighbours read as one. Gradients go
/// straight into the flat gradient, overwriting it on a step's first write.
/// </summary>
/// <typeparam name="T">Storage of x, W and y.</typeparam>
internal sealed unsafe class LinearLayer<T> : ILinear<T>
    where T : struct, IStorage
{
    private readonly FlatParameters parameters;
    private readonly string[] weights;
    private readonly bool inputFirst;
    private readonly Tensor own, forward, backward, gradient;
    private readonly LinearBias<T> bias;

    /// <param name="parameters">Master weights and gradients.</param>
    /// <param name="compute">The weights that products read, laid out as the parameters are.</param>
    /// <param name="weights">Names of the weights, neighbours.</param>
    /// <param name="biases">Names of the biases, neighbours; none is fine.</param>
    /// <param name="inputFirst">Whether the weight is <c>[in, out]</c> (GPT-2's Conv1D) and not <c>[out, in]</c>.</param>
    public LinearLayer(FlatParameters parameters, Tensor compute, string[] weights, string[] biases, bool inputFirst)
    {
        (this.parameters, this.weights, this.inputFirst) = (parameters, weights, inputFirst);
        bias = new LinearBias<T>(parameters, biases);
        using var scope = NewDisposeScope();
        own = parameters.Join(compute, weights).DetachFromDisposeScope();
        var turned = own.t().DetachFromDisposeScope();
        (forward, backward) = inputFirst ? (own, turned) : (turned, own);
        gradient = parameters.JoinGradients(weights).DetachFromDisposeScope();
    }

    /// <inheritdoc/>
    public long Outputs => forward.shape[1];

    /// <inheritdoc/>
    public float* Bias => bias.Address;

    /// <inheritdoc/>
    public void Forward(Activation x, Activation y) => y.Tensor.addmm_(x.Tensor, forward, 0, 1);

    /// <inheritdoc/>
    public void BackwardInput(Activation dy, Activation dx) => dx.Tensor.addmm_(dy.Tensor, backward, 0, 1);

    /// <summary>Adds xᵀ·dy (in the weight's own orientation) and the bias's column sums to the flat gradient.</summary>
    public void BackwardWeight(Activation x, Activation dy)
    {
        using var scope = NewDisposeScope();
        var keep = parameters.GradientScale(weights);
        var (left, right) = inputFirst ? (x.Tensor.t(), dy.Tensor) : (dy.Tensor.t(), x.Tensor);
        if (T.Size == sizeof(float))
            gradient.addmm_(left, right, keep, 1);
        else if (keep == 0)
            gradient.copy_(mm(left, right));
        else
            gradient.add_(mm(left, right));
        parameters.Written(weights);
        bias.Backward(dy);
    }

    public void Dispose()
    {
        forward.Dispose();
        backward.Dispose();
        gradient.Dispose();
        bias.Dispose();
    }
}
