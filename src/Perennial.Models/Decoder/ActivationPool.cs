using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Models;

/// <summary>A matrix of intermediate values and the address of its first element.</summary>
/// <param name="Tensor">The matrix, contiguous.</param>
/// <param name="Address">Its memory.</param>
internal sealed record Activation(Tensor Tensor, nint Address)
{
    /// <summary>The memory as any pointer.</summary>
    public unsafe void* Memory => (void*)Address;

    /// <summary>The memory as float32.</summary>
    public unsafe float* Floats => (float*)Address;
}

/// <summary>
/// Keeps intermediate matrices from one step to the next: fresh memory costs a page fault for every 4 KiB, which on wide
/// outputs takes as long as the product itself.
/// </summary>
internal sealed class ActivationPool(ScalarType compute) : IDisposable
{
    private readonly Dictionary<(long Rows, long Columns, ScalarType Type), Stack<Activation>> free = [];

    /// <summary>A float32 matrix with undefined content.</summary>
    public Activation Exact(long rows, long columns) => Take(rows, columns, ScalarType.Float32);

    /// <summary>A matrix in the storage of operands and products, with undefined content.</summary>
    public Activation Compute(long rows, long columns) => Take(rows, columns, compute);

    /// <summary>Takes a matrix back; null is fine.</summary>
    public void Return(Activation? activation)
    {
        if (activation is null) return;
        var shape = activation.Tensor.shape;
        free[(shape[0], shape[1], activation.Tensor.dtype)].Push(activation);
    }

    public void Dispose()
    {
        foreach (var activation in free.Values.SelectMany(stack => stack)) activation.Tensor.Dispose();
        free.Clear();
    }

    private Activation Take(long rows, long columns, ScalarType type)
    {
        if (!free.TryGetValue((rows, columns, type), out var stack)) free.Add((rows, columns, type), stack = []);
        if (stack.TryPop(out var kept)) return kept;
        var made = HugePages.Empty(type, rows, columns);
        return new Activation(made, type == ScalarType.Float32 ? TensorMemory.Address<float>(made) : TensorMemory.Address<ushort>(made));
    }
}
