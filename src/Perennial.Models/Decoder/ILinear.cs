using Perennial.Tensors;

namespace Perennial.Models;

/// <summary>One linear layer of a block, whatever its weight is made of: y = x·W (+ b, added by whoever reads y).</summary>
/// <typeparam name="T">Storage of x, W and y.</typeparam>
internal unsafe interface ILinear<T> : IDisposable
    where T : struct, IStorage
{
    /// <summary>Width of y.</summary>
    long Outputs { get; }

    /// <summary>The bias, float32 <c>[out]</c>; null when there is none.</summary>
    float* Bias { get; }

    /// <summary>y ← x·W.</summary>
    void Forward(Activation x, Activation y);

    /// <summary>dx ← dy·Wᵀ.</summary>
    void BackwardInput(Activation dy, Activation dx);

    /// <summary>Adds the gradients of everything that W is made of, and the bias's, to the flat gradient.</summary>
    void BackwardWeight(Activation x, Activation dy);
}

/// <summary>Makes the linear layer of one or more projections that read the same input and whose outputs lie side by side.</summary>
/// <typeparam name="T">Storage of products and their operands.</typeparam>
/// <param name="layer">The block's number.</param>
/// <param name="projections">The projections in the order of their outputs.</param>
internal delegate ILinear<T> LinearFactory<T>(int layer, params Projection[] projections)
    where T : struct, IStorage;
