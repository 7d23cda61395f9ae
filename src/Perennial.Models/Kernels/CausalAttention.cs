using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Models;

/// <summary>
/// Causal softmax attention, softmax(q·kᵀ/√d)·v, where query t sees keys <c>starts[t]</c> … t. Scores exist for 48
/// queries at a time and backward computes them again from the saved logarithm of the softmax's denominator (Dao et al.
/// 2022). Nothing above the diagonal or outside a document is computed. One unit of work is a key head of a sequence.
/// </summary>
/// <typeparam name="T">Storage of queries, keys, values, outputs and gradients; the arithmetic is float32.</typeparam>
internal static unsafe class CausalAttention<T>
    where T : struct, IStorage
{
    /// <summary>Fills <paramref name="output"/> <c>[batch, time, heads · headWidth]</c> and <paramref name="logarithms"/> <c>[batch, heads, time]</c>.</summary>
    public static void Forward(AttentionShape shape, void* qkv, int* starts, void* output, float* logarithms) =>
        ThreadTeam.For(shape.Batch * shape.KeyHeads, unit =>
        {
            using var head = new AttentionHead(shape, backward: false);
            var (row, keyHead) = (unit / shape.KeyHeads, unit % shape.KeyHeads);
            long token = (long)row * shape.Time * shape.Stride, width = shape.HeadWidth;
            head.Gather<T>(qkv, token + (shape.Heads + keyHead) * width, shape.Stride, 1, head.Values);
            head.Transpose(head.Values, head.KeysTransposed);
            head.Gather<T>(qkv, token + (shape.Heads + shape.KeyHeads + keyHead) * width, shape.Stride, 1, head.Values);
            for (var member = 0; member < shape.Group; member++)
            {
                var query = keyHead * shape.Group + member;
                head.Gather<T>(qkv, token + query * width, shape.Stride, 1 / MathF.Sqrt(width), head.Queries);
                Outputs(head, starts is null ? null : starts + (long)row * shape.Time, logarithms + ((long)row * shape.Heads + query) * shape.Time);
                head.Scatter<T>(head.Result, 1, output, (long)row * shape.Time * shape.Heads * width + query * width, shape.Heads * width);
            }
        });

    /// <summary>Fills <paramref name="gradient"/> (laid out as <paramref name="qkv"/>) from the gradient of the output.</summary>
    public static void Backward(AttentionShape shape, void* qkv, int* starts, float* logarithms, void* outputGradient, void* gradient) =>
        ThreadTeam.For(shape.Batch * shape.KeyHeads, unit =>
        {
            using var head = new AttentionHead(shape, backward: true);
            var (row, keyHead) = (unit / shape.KeyHeads, unit % shape.KeyHeads);
            long token = (long)row * shape.Time * shape.Stride, width = shape.HeadWidth;
            long key = token + (shape.Heads + keyHead) * width, value = token + (shape.Heads + shape.KeyHeads + keyHead) * width;
            var scale = 1 / MathF.Sqrt(width);
            head.Gather<T>(qkv, key, shape.Stride, 1, head.Keys);
            head.Transpose(head.Keys, head.KeysTransposed);
            head.Gather<T>(qkv, value, shape.Stride, 1, head.Values);
            head.Transpose(head.Values, head.ValuesTransposed);
            new Span<float>(head.KeyGradient, shape.PaddedTime * shape.HeadWidth).Clear();
            new Span<float>(head.ValueGradient, shape.PaddedTime * shape.HeadWidth).Clear();
            for (var member = 0; member < shape.Group; member++)
            {
                var query = keyHead * shape.Group + member;
                head.Gather<T>(qkv, token + query * width, shape.Stride, scale, head.Queries);
                head.Gather<T>(outputGradient, (long)row * shape.Time * shape.Heads * width + query * width, shape.Heads * width, 1, head.Result);
                // Values are not needed any more in this layout: the queries' gradient takes their place.
                Gradients(head, starts is null ? null : starts + (long)row * shape.Time, logarithms + ((long)row * shape.Heads + query) * shape.Time, head.Values);
                head.Scatter<T>(head.Values, scale, gradient, token + query * width, shape.Stride);
            }
            head.Scatter<T>(head.KeyGradient, 1, gradient, key, shape.Stride);
            head.Scatter<T>(head.ValueGradient, 1, gradient, value, shape.Stride);
        });

    private static void Outputs(AttentionHead head, int* starts, float* logarithms)
    {
        int width = head.Shape.HeadWidth, padded = head.Shape.PaddedTime, time = head.Shape.Time;
        var inverse = stackalloc float[ProductTile.Rows];
        for (var m = 0; m < time; m += ProductTile.Rows)
        {
            var (from, to) = Columns(starts, m, time);
            var scores = head.Scores; // one tile's rows are enough here
            Scores(head.Queries, head.KeysTransposed, m, from, to, width, padded, scores);
            for (var r = 0; r < ProductTile.Rows; r++)
            {
                var t = Math.Min(m + r, time - 1);
                var row = scores + r * padded;
                Mask(row, from, to, starts is null ? 0 : starts[t], t);
                var highest = Highest(row, from, to);
                var sum = Vector256<float>.Zero;
                for (var n = from; n < to; n += 8)
                {
                    var weight = VectorMath.Exp(Vector256.Load(row + n) - Vector256.Create(highest));
                    sum += weight;
                    weight.Store(row + n);
                }
                var total = Vector256.Sum(sum);
                inverse[r] = 1 / total;
                if (m + r < time) logarithms[t] = highest + MathF.Log(total);
            }
            for (var d = 0; d < width; d += ProductTile.Columns)
                ProductTile.Multiply(scores + from, padded, 1, head.Values + from * width + d, width, head.Result + m * width + d, width, to - from, add: false);
            for (var r = 0; r < ProductTile.Rows; r++)
                for (var d = 0; d < width; d += 8)
                    (Vector256.Load(head.Result + (m + r) * width + d) * inverse[r]).Store(head.Result + (m + r) * width + d);
        }
    }

    private static void Gradients(AttentionHead head, int* starts, float* logarithms, float* queryGradient)
    {
        int width = head.Shape.HeadWidth, padded = head.Shape.PaddedTime, time = head.Shape.Time;
        for (var block = 0; block < time; block += AttentionShape.Unit)
        {
            var end = Math.Min(block + AttentionShape.Unit, (time + ProductTile.Rows - 1) / ProductTile.Rows * ProductTile.Rows);
            if (starts is not null)
            {
                // Tiles left of a document's start are skipped below, yet read by the transposed products.
                new Span<float>(head.Scores, AttentionShape.Unit * padded).Clear();
                new Span<float>(head.Slopes, AttentionShape.Unit * padded).Clear();
            }
            for (var m = block; m < end; m += ProductTile.Rows)
            {
                var (from, to) = Columns(starts, m, time);
                var scores = head.Scores + (m - block) * padded;
                var slopes = head.Slopes + (m - block) * padded;
                Scores(head.Queries, head.KeysTransposed, m, from, to, width, padded, scores);
                Scores(head.Result, head.ValuesTransposed, m, from, to, width, padded, slopes);
                for (var r = 0; r < ProductTile.Rows; r++)
                {
                    // Rows of padding have a zero output gradient, so their slopes are zero: only their weights must be finite.
                    var t = Math.Min(m + r, time - 1);
                    Mask(scores + r * padded, from, to, starts is null ? 0 : starts[t], t);
                    Slopes(scores + r * padded, slopes + r * padded, from, to, logarithms[t]);
                }
                for (var d = 0; d < width; d += ProductTile.Columns)
                    ProductTile.Multiply(slopes + from, padded, 1, head.Keys + from * width + d, width, queryGradient + m * width + d, width, to - from, add: false);
            }
            for (var n = starts is null ? 0 : starts[block] / ProductTile.Rows * ProductTile.Rows; n < end; n += ProductTile.Rows)
            {
                var first = Math.Max(block, n);
                for (var d = 0; d < width; d += ProductTile.Columns)
                {
                    ProductTile.Multiply(head.Slopes + (first - block) * padded + n, 1, padded, head.Queries + first * width + d, width, head.KeyGradient + n * width + d, width, end - first, add: true);
                    ProductTile.Multiply(head.Scores + (first - block) * padded + n, 1, padded, head.Result + first * width + d, width, head.ValueGradient + n * width + d, width, end - first, add: true);
                }
            }
        }
    }

    /// <summary>Weights from scores, and the scores' gradient from the weights': dS = P ∘ (dP − Σ P ∘ dP).</summary>
    private static void Slopes(float* scores, float* slopes, int from, int to, float logarithm)
    {
        var sum = Vector256<float>.Zero;
        for (var n = from; n < to; n += 8)
        {
            var weight = VectorMath.Exp(Vector256.Load(scores + n) - Vector256.Create(logarithm));
            weight.Store(scores + n);
            sum = Vector256.FusedMultiplyAdd(weight, Vector256.Load(slopes + n), sum);
        }
        var mean = Vector256.Create(Vector256.Sum(sum));
        for (var n = from; n < to; n += 8)
            (Vector256.Load(scores + n) * (Vector256.Load(slopes + n) - mean)).Store(slopes + n);
    }

    private static void Scores(float* rows, float* transposed, int m, int from, int to, int width, int padded, float* target)
    {
        for (var n = from; n < to; n += ProductTile.Columns)
            ProductTile.Multiply(rows + m * width, width, 1, transposed + n, padded, target + n, padded, width, add: false);
    }

    /// <summary>The whole tiles of columns that six queries from <paramref name="m"/> see.</summary>
    private static (int From, int To) Columns(int* starts, int m, int time)
    {
        var last = Math.Min(m + ProductTile.Rows, time);
        // Rows of padding repeat the last token; their columns end with it.
        var to = (last + ProductTile.Columns - 1) / ProductTile.Columns * ProductTile.Columns;
        return (starts is null ? 0 : starts[m] / ProductTile.Columns * ProductTile.Columns, to);
    }

    private static void Mask(float* row, int from, int to, int start, int t)
    {
        for (var n = from; n < start; n++) row[n] = float.NegativeInfinity;
        for (var n = t + 1; n < to; n++) row[n] = float.NegativeInfinity;
    }

    private static float Highest(float* row, int from, int to)
    {
        var highest = Vector256.Load(row + from);
        for (var n = from + 8; n < to; n += 8) highest = Vector256.MaxNative(highest, Vector256.Load(row + n));
        var half = Vector128.Max(highest.GetLower(), highest.GetUpper());
        return MathF.Max(MathF.Max(half[0], half[1]), MathF.Max(half[2], half[3]));
    }
}
