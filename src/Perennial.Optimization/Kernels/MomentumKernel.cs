using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>The element-wise passes around an orthogonalized momentum. Rows of the matrix lie a stride apart.</summary>
internal static unsafe class MomentumKernel
{
    /// <summary>m ← μ·m + s·g; the sum of squares of u = s·g + μ·m (or m without look-ahead), in double, and its largest magnitude.</summary>
    public static (double Squares, float Largest) Accumulate(float* gradients, float* momentum, long rows, int columns, long stride, float scale, float mu, bool nesterov)
    {
        var (sums, most) = (new double[rows], new float[rows]);
        ForRows(rows, columns, row =>
        {
            float* g = gradients + row * stride, m = momentum + row * stride;
            var (factor, decay) = (Vector256.Create(scale), Vector256.Create(mu));
            Vector256<double> low = default, high = default;
            Vector256<float> largest = default;
            var i = 0;
            for (; i <= columns - 8; i += 8)
            {
                var gradient = Vector256.Load(g + i) * factor;
                var moment = Vector256.FusedMultiplyAdd(Vector256.Load(m + i), decay, gradient);
                moment.Store(m + i);
                var u = nesterov ? Vector256.FusedMultiplyAdd(moment, decay, gradient) : moment;
                largest = Vector256.MaxNative(largest, Vector256.Abs(u));
                var (a, b) = Vector256.Widen(u);
                low = Vector256.FusedMultiplyAdd(a, a, low);
                high = Vector256.FusedMultiplyAdd(b, b, high);
            }
            var sum = Vector256.Sum(low + high);
            var top = Lanes.Largest(largest);
            for (; i < columns; i++)
            {
                m[i] = MathF.FusedMultiplyAdd(m[i], mu, g[i] * scale);
                var u = nesterov ? MathF.FusedMultiplyAdd(m[i], mu, g[i] * scale) : m[i];
                sum += (double)u * u;
                top = Math.Max(top, Math.Abs(u));
            }
            (sums[row], most[row]) = (sum, top);
        });
        var total = 0.0;
        foreach (var sum in sums) total += sum;
        return (total, most.Max());
    }

    /// <summary>scratch ← u · <paramref name="size"/>; its rows lie <paramref name="pitch"/> elements apart.</summary>
    public static void Direction<T>(float* gradients, float* momentum, nint scratch, long pitch, long rows, int columns, long stride, float scale, float mu, bool nesterov, float size)
        where T : struct, IStorage =>
        ForRows(rows, columns, row =>
        {
            float* g = gradients + row * stride, m = momentum + row * stride;
            var target = (byte*)scratch + row * pitch * T.Size;
            var (factor, decay, norm) = (Vector256.Create(scale), Vector256.Create(mu), Vector256.Create(size));
            var i = 0;
            for (; i <= columns - 8; i += 8)
            {
                var moment = Vector256.Load(m + i);
                T.Store(target, i, (nesterov ? Vector256.FusedMultiplyAdd(moment, decay, Vector256.Load(g + i) * factor) : moment) * norm);
            }
            if (i == columns) return;
            float* read = stackalloc float[8], written = stackalloc float[8];
            for (var k = i; k < columns; k++) read[k - i] = (nesterov ? MathF.FusedMultiplyAdd(m[k], mu, g[k] * scale) : m[k]) * size;
            T.Store(written, 0, Vector256.Load(read));
            Buffer.MemoryCopy(written, target + i * T.Size, (columns - i) * T.Size, (columns - i) * T.Size);
        });

    /// <summary>p ← p·keep + o·<paramref name="move"/>; rows of o lie <paramref name="pitch"/> elements apart.</summary>
    public static void Move<T>(float* values, nint direction, long pitch, long rows, int columns, long stride, float move, float keep)
        where T : struct, IStorage =>
        ForRows(rows, columns, row =>
        {
            var p = values + row * stride;
            var o = (byte*)direction + row * pitch * T.Size;
            var (size, kept) = (Vector256.Create(move), Vector256.Create(keep));
            var i = 0;
            for (; i <= columns - 8; i += 8) Vector256.FusedMultiplyAdd(T.Load(o, i), size, Vector256.Load(p + i) * kept).Store(p + i);
            if (i == columns) return;
            float* read = stackalloc float[8];
            new Span<float>(read, 8).Clear();
            Buffer.MemoryCopy(o + i * T.Size, read, 32, (columns - i) * T.Size);
            var last = T.Load(read, 0);
            for (var k = i; k < columns; k++) p[k] = MathF.FusedMultiplyAdd(last[k - i], move, p[k] * keep);
        });

    private static void ForRows(long rows, int columns, Action<long> body) =>
        ThreadTeam.ForRows(rows, Math.Max(1, (1 << 15) / Math.Max(1, columns)), (first, end) =>
        {
            for (var row = first; row < end; row++) body(row);
        });
}
