using System.Collections.Concurrent;
using Perennial.Tensors;
using static TorchSharp.torch;

namespace Perennial.Optimization;

/// <summary>Float32 matrices for work in passing, kept for the next who needs their shape: as many of a shape as threads have needed at once.</summary>
internal sealed class ScratchPool : IDisposable
{
    private readonly ConcurrentDictionary<(long Rows, long Columns), ConcurrentBag<Tensor>> idle = [];

    /// <summary>A matrix, <c>[rows, columns]</c>, of any content; give it back with <see cref="Return"/>.</summary>
    public Tensor Rent(long rows, long columns) => idle.TryGetValue((rows, columns), out var bag) && bag.TryTake(out var kept) ? kept : HugePages.Empty(ScalarType.Float32, rows, columns);

    /// <summary>Takes a matrix back.</summary>
    public void Return(Tensor scratch) => idle.GetOrAdd((scratch.shape[0], scratch.shape[1]), _ => []).Add(scratch);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var scratch in idle.Values.SelectMany(bag => bag)) scratch.Dispose();
        idle.Clear();
    }
}
