using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Models;

/// <summary>The gradient of a bias: the sum of a product's gradient over rows, each stretch of columns by one thread in row order.</summary>
/// <typeparam name="T">Storage of the summed buffer.</typeparam>
internal static unsafe class ColumnSum<T>
    where T : struct, IStorage
{
    /// <summary>gradient ← keep·gradient + Σ rows.</summary>
    public static void Add(long rows, int width, void* values, float* gradient, float keep)
    {
        const int columns = 64;
        ThreadTeam.ForRows(width, columns, (first, end) =>
        {
            var sums = stackalloc float[columns];
            new Span<float>(sums, columns).Clear();
            for (var row = 0L; row < rows; row++)
                for (var i = first; i < end; i += 8)
                    (Vector256.Load(sums + (i - first)) + T.Load(values, row * width + i)).Store(sums + (i - first));
            for (var i = first; i < end; i += 8)
            {
                var sum = Vector256.Load(sums + (i - first));
                (keep == 0 ? sum : sum + Vector256.Load(gradient + i)).Store(gradient + i);
            }
        });
    }
}
