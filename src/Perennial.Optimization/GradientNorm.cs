using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>Global norm and finiteness of a flat gradient in one pass.</summary>
/// <param name="Value">Euclidean norm; not finite when any element is not.</param>
public readonly record struct GradientNorm(double Value)
{
    private const int Block = 1 << 16;

    /// <summary>Whether every element is a number.</summary>
    public bool IsFinite => double.IsFinite(Value);

    /// <summary>
    /// What the gradient must be multiplied with so that its norm is at most <paramref name="limit"/>: as
    /// <c>clip_grad_norm_</c> does, limit / (norm + 1e-6), at most 1. A limit of 0 means no clipping.
    /// </summary>
    public double ClipScale(double limit) => limit > 0 ? Math.Min(1, limit / (Value + 1e-6)) : 1;

    /// <summary>
    /// Reads a contiguous float32 tensor once. Squares are summed in double (a float32 sum over ten million elements is
    /// off by 0.04 %), per block of 65,536 and then in order, so the result does not depend on the number of threads.
    /// A double sum of squares of floats cannot overflow: it is finite exactly when every element is.
    /// </summary>
    public static GradientNorm Of(Tensor gradient) => new(Math.Sqrt(SquaresOf(gradient)));

    /// <summary>The sum of the squares, for norms over several buffers.</summary>
    public static unsafe double SquaresOf(Tensor gradient)
    {
        ArgumentNullException.ThrowIfNull(gradient);
        var length = gradient.NumberOfElements;
        var start = (float*)TensorMemory.Address<float>(gradient);
        var sums = new double[(length + Block - 1) / Block];
        ThreadTeam.For(sums.Length, index =>
        {
            var first = index * (long)Block;
            sums[index] = Squares.Sum(start + first, (int)Math.Min(Block, length - first));
        });
        var total = 0.0;
        foreach (var sum in sums) total += sum;
        return total;
    }
}
