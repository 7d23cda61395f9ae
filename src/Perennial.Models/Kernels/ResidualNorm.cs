using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Models;

/// <summary>
/// Residual addition and the norm after it in one pass: x' = x + y + b, h = norm(x'). RMSNorm: x·r·w with
/// r = 1/√(mean x² + ε); LayerNorm: (x − mean)·r·w + bias.
/// </summary>
/// <typeparam name="T">Storage of y, h and their gradients; the residual stream is float32.</typeparam>
internal static unsafe class ResidualNorm<T>
    where T : struct, IStorage
{
    /// <summary>Rows of one unit of work, and of one partial sum of the weight's gradient.</summary>
    private const int Piece = 32;

    /// <summary>The forward pass; <paramref name="added"/> null means x' = x and no store to <paramref name="sum"/>.</summary>
    public static void Forward(NormShape shape, float* x, void* added, float* addedBias, float* sum, float* weight, float* bias, void* h, float* statistics)
    {
        var (width, epsilon, centered) = (shape.Width, shape.Epsilon, bias is not null);
        ThreadTeam.ForRows(shape.Rows, Piece, (first, end) =>
        {
            for (var row = first; row < end; row++)
            {
                var source = x + row * width;
                if (added is not null)
                {
                    var target = sum + row * width;
                    for (var i = 0; i < width; i += 8)
                    {
                        var value = Vector256.Load(source + i) + T.Load(added, row * width + i);
                        if (addedBias is not null) value += Vector256.Load(addedBias + i);
                        value.Store(target + i);
                    }
                    source = target;
                }
                var (mean, inverse) = Statistics(source, width, epsilon, centered);
                statistics[2 * row] = mean;
                statistics[2 * row + 1] = inverse;
                Apply(source, width, mean, inverse, weight, bias, h, row * width);
            }
        });
    }

    /// <summary>
    /// Adds the norm's part to <paramref name="dx"/> (gradient of the residual stream, in place) and, where the storage
    /// rounds, writes the sum's operand copy. Partial sums of the weight's and bias's gradients go to
    /// <paramref name="partials"/> <c>[pieces, 2, width]</c>; see <see cref="NormShape.Pieces"/>.
    /// </summary>
    public static void Backward(NormShape shape, void* dh, float* x, float* statistics, float* weight, bool centered, float* dx, bool replace, void* operand, float* partials)
    {
        var width = shape.Width;
        ThreadTeam.For(shape.Pieces, piece =>
        {
            var weightSum = partials + piece * 2L * width;
            var biasSum = weightSum + width;
            new Span<float>(weightSum, 2 * width).Clear();
            var end = Math.Min(shape.Rows, (piece + 1L) * Piece);
            for (var row = piece * (long)Piece; row < end; row++)
            {
                float mean = statistics[2 * row], inverse = statistics[2 * row + 1];
                var source = x + row * width;
                Vector256<float> dots = default, sums = default;
                for (var i = 0; i < width; i += 8)
                {
                    var normal = (Vector256.Load(source + i) - Vector256.Create(mean)) * inverse;
                    var slope = T.Load(dh, row * width + i);
                    (Vector256.FusedMultiplyAdd(slope, normal, Vector256.Load(weightSum + i))).Store(weightSum + i);
                    if (centered) (Vector256.Load(biasSum + i) + slope).Store(biasSum + i);
                    var scaled = slope * Vector256.Load(weight + i);
                    dots = Vector256.FusedMultiplyAdd(scaled, normal, dots);
                    sums += scaled;
                }
                var dot = Vector256.Sum(dots) / width;
                var offset = centered ? Vector256.Sum(sums) / width : 0;
                var target = dx + row * width;
                for (var i = 0; i < width; i += 8)
                {
                    var normal = (Vector256.Load(source + i) - Vector256.Create(mean)) * inverse;
                    var scaled = T.Load(dh, row * width + i) * Vector256.Load(weight + i);
                    var result = (scaled - normal * dot - Vector256.Create(offset)) * inverse;
                    if (!replace) result += Vector256.Load(target + i);
                    result.Store(target + i);
                    if (T.Rounds) T.Store(operand, row * width + i, result);
                }
            }
        });
    }

    /// <summary>Adds the pieces' partial sums in order to a gradient times <paramref name="keep"/> (0 or 1).</summary>
    public static void Collect(NormShape shape, float* partials, int which, float* gradient, float keep)
    {
        for (var i = 0; i < shape.Width; i += 8)
        {
            var sum = keep == 0 ? Vector256<float>.Zero : Vector256.Load(gradient + i);
            for (var piece = 0; piece < shape.Pieces; piece++) sum += Vector256.Load(partials + (2L * piece + which) * shape.Width + i);
            sum.Store(gradient + i);
        }
    }

    private static (float Mean, float Inverse) Statistics(float* row, int width, float epsilon, bool centered)
    {
        var mean = 0f;
        if (centered)
        {
            var sum = Vector256<float>.Zero;
            for (var i = 0; i < width; i += 8) sum += Vector256.Load(row + i);
            mean = Vector256.Sum(sum) / width;
        }
        var squares = Vector256<float>.Zero;
        for (var i = 0; i < width; i += 8)
        {
            var value = Vector256.Load(row + i) - Vector256.Create(mean);
            squares = Vector256.FusedMultiplyAdd(value, value, squares);
        }
        return (mean, 1 / MathF.Sqrt(Vector256.Sum(squares) / width + epsilon));
    }

    private static void Apply(float* row, int width, float mean, float inverse, float* weight, float* bias, void* h, long at)
    {
        for (var i = 0; i < width; i += 8)
        {
            var value = (Vector256.Load(row + i) - Vector256.Create(mean)) * inverse * Vector256.Load(weight + i);
            if (bias is not null) value += Vector256.Load(bias + i);
            T.Store(h, at + i, value);
        }
    }
}

/// <summary>Sizes of one norm.</summary>
/// <param name="Rows">Tokens.</param>
/// <param name="Width">Width; a multiple of 8.</param>
/// <param name="Epsilon">Added to the mean square.</param>
internal readonly record struct NormShape(long Rows, int Width, float Epsilon)
{
    /// <summary>Pieces of 32 rows, fixed whatever the number of threads.</summary>
    public int Pieces => (int)((Rows + 31) / 32);
}
