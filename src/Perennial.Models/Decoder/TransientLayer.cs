using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>
/// y = x·W with W = s·B·A + S made before each use, a block of rows at a time, and not kept (SLTrain, Han et al. 2024, section 3.2). The
/// gradient of W exists as a block of rows too, from which those of B, A and of S's values are taken.
/// </summary>
/// <typeparam name="T">Storage of operands and products.</typeparam>
internal sealed unsafe class TransientLayer<T> : ILinear<T>
    where T : struct, IStorage
{
    private readonly FlatParameters parameters;
    private readonly TransientWeights<T> transient;
    private readonly WeightMatrix[] matrices;
    private readonly LinearBias<T> bias;
    private readonly Tensor dense, forward, backward;
    private readonly bool inputFirst;

    /// <param name="parameters">Factors, values and their gradients.</param>
    /// <param name="matrices">Matrices that read the same input.</param>
    /// <param name="biases">Names of the biases.</param>
    /// <param name="transient">Memory for W.</param>
    public TransientLayer(FlatParameters parameters, WeightMatrix[] matrices, string[] biases, TransientWeights<T> transient)
    {
        (this.parameters, this.matrices, this.transient) = (parameters, matrices, transient);
        inputFirst = matrices[0].InputFirst;
        bias = new LinearBias<T>(parameters, biases);
        Outputs = matrices.Sum(matrix => matrix.Outputs);
        using var scope = NewDisposeScope();
        var (rows, columns) = (matrices.Sum(matrix => matrix.Rows), matrices[0].Columns);
        dense = transient.Dense.narrow(0, 0, rows * columns).view(rows, columns).DetachFromDisposeScope();
        var turned = dense.t().DetachFromDisposeScope();
        (forward, backward) = inputFirst ? (dense, turned) : (turned, dense);
    }

    /// <inheritdoc/>
    public long Outputs { get; }

    /// <inheritdoc/>
    public float* Bias => bias.Address;

    /// <inheritdoc/>
    public void Forward(Activation x, Activation y)
    {
        Make();
        y.Tensor.addmm_(x.Tensor, forward, 0, 1);
    }

    /// <inheritdoc/>
    public void BackwardInput(Activation dy, Activation dx)
    {
        Make();
        dx.Tensor.addmm_(dy.Tensor, backward, 0, 1);
    }

    /// <inheritdoc/>
    public void BackwardWeight(Activation x, Activation dy)
    {
        var offset = 0L;
        foreach (var matrix in matrices)
        {
            using var scope = NewDisposeScope();
            var part = inputFirst ? dy.Tensor : dy.Tensor.narrow(1, offset, matrix.Outputs);
            var (left, right) = inputFirst ? (x.Tensor.t(), part) : (part.t(), x.Tensor);
            Backward(matrix, left, right);
            offset += matrix.Outputs;
        }
        bias.Backward(dy);
    }

    public void Dispose()
    {
        bias.Dispose();
        forward.Dispose();
        backward.Dispose();
    }

    /// <summary>The weight's gradient is left · right; what it is made of gets its gradient from blocks of its rows.</summary>
    private void Backward(WeightMatrix matrix, Tensor left, Tensor right)
    {
        var keepValues = parameters.GradientScale(matrix.Values!.Name);
        var keepFactors = matrix.A is null ? 1 : parameters.GradientScale(matrix.A.Name, matrix.B!.Name);
        var values = Floats(parameters.Gradients) + matrix.Values.Offset;
        ForBlocks(matrix, (first, count, block) =>
        {
            using var scope = NewDisposeScope();
            if (T.Size == sizeof(float)) block.addmm_(left.narrow(0, first, count), right, 0, 1);
            else block.copy_(mm(left.narrow(0, first, count), right));
            var memory = Floats(block);
            Rows(count, (begin, end) => matrix.Support!.Gather(memory + begin * matrix.Columns, first + begin, first + end, values, keepValues));
            if (matrix.A is null) return;
            var scale = (float)matrix.Scale;
            matrix.Left(parameters.Gradients).narrow(0, first, count).addmm_(block, matrix.Right(parameters.Values).t(), keepFactors, scale);
            // Every block adds to the whole of the right factor: only the first may overwrite it.
            matrix.Right(parameters.Gradients).addmm_(matrix.Left(parameters.Values).narrow(0, first, count).t(), block, first == 0 ? keepFactors : 1, scale);
        });
    }

    private void Make()
    {
        var row = 0L;
        foreach (var matrix in matrices)
        {
            var values = Floats(parameters.Values) + matrix.Values!.Offset;
            var origin = row;
            ForBlocks(matrix, (first, count, block) =>
            {
                using var scope = NewDisposeScope();
                if (matrix.A is null) block.zero_();
                else block.addmm_(matrix.Left(parameters.Values).narrow(0, first, count), matrix.Right(parameters.Values), 0, (float)matrix.Scale);
                var memory = Floats(block);
                Rows(count, (begin, end) => matrix.Support!.Add(memory + begin * matrix.Columns, first + begin, first + end, values));
                Bfloat16.Copy<T>(block, dense.narrow(0, origin + first, count));
            });
            row += matrix.Rows;
        }
    }

    private void ForBlocks(WeightMatrix matrix, Action<long, long, Tensor> body)
    {
        var most = transient.RowsOf(matrix.Columns);
        for (var first = 0L; first < matrix.Rows; first += most)
        {
            using var scope = NewDisposeScope();
            using var _ = no_grad();
            var count = Math.Min(most, matrix.Rows - first);
            body(first, count, transient.Block.narrow(0, 0, count * matrix.Columns).view(count, matrix.Columns));
        }
    }

    private static void Rows(long count, Action<long, long> body) => ThreadTeam.ForRows(count, (int)Math.Max(1, (count + 15) / 16), body);

    private static float* Floats(Tensor tensor) => (float*)TensorMemory.Address<float>(tensor);
}
