using System.Runtime.Intrinsics;
using Perennial.Tensors;

namespace Perennial.Optimization;

/// <summary>The element-wise passes around an orthogonalized momentum. Rows of the matrix lie a stride apart; scratch is dense.</summary>
internal static unsafe class MomentumKernel
{
    /// <summary>m ← μ·m + s·g; the sum of squares of u = s·g + μ·m (or m without look-ahead), in double.</summary>
    public static double Accumulate(float* gradients, float* momentum, long rows, int columns, long stride, float scale, float mu, bool nesterov)
    {
        var sums = new double[rows];
        ForRows(rows, columns, row =>
        {
            float* g = gradients + row * stride, m = momentum + row * stride;
            var (factor, decay) = (Vector256.Create(scale), Vector256.Create(mu));
            Vector256<double> low = default, high = default;
            var i = 0;
            for (; i <= columns - 8; i += 8)
            {
                var gradient = Vector256.Load(g + i) * factor;
                var moment = Vector256.FusedMultiplyAdd(Vector256.Load(m + i), decay, gradient);
                moment.Store(m + i);
                var (a, b) = Vector256.Widen(nesterov ? Vector256.FusedMultiplyAdd(moment, decay, gradient) : moment);
                low = Vector256.FusedMultiplyAdd(a, a, low);
                high = Vector256.FusedMultiplyAdd(b, b, high);
            }
            var sum = Vector256.Sum(low + high);
            for (; i < columns; i++)
            {
                m[i] = MathF.FusedMultiplyAdd(m[i], mu, g[i] * scale);
                double u = nesterov ? MathF.FusedMultiplyAdd(m[i], mu, g[i] * scale) : m[i];
                sum += u * u;
            }
            sums[row] = sum;
        });
        var total = 0.0;
        foreach (var sum in sums) total += sum;
        return total;
    }

    /// <summary>scratch ← u · <paramref name="inverse"/>.</summary>
    public static void Direction<T>(float* gradients, float* momentum, nint scratch, long rows, int columns, long stride, float scale, float mu, bool nesterov, float inverse)
        where T : struct, IStorage =>
        ForRows(rows, columns, row =>
        {
            float* g = gradients + row * stride, m = momentum + row * stride;
            var target = (byte*)scratch + row * columns * T.Size;
            var (factor, decay, norm) = (Vector256.Create(scale), Vector256.Create(mu), Vector256.Create(inverse));
            var i = 0;
            for (; i <= columns - 8; i += 8)
            {
                var moment = Vector256.Load(m + i);
                T.Store(target, i, (nesterov ? Vector256.FusedMultiplyAdd(moment, decay, Vector256.Load(g + i) * factor) : moment) * norm);
            }
            if (i == columns) return;
            float* read = stackalloc float[8], written = stackalloc float[8];
            for (var k = i; k < columns; k++) read[k - i] = (nesterov ? MathF.FusedMultiplyAdd(m[k], mu, g[k] * scale) : m[k]) * inverse;
            T.Store(written, 0, Vector256.Load(read));
            Buffer.MemoryCopy(written, target + i * T.Size, (columns - i) * T.Size, (columns - i) * T.Size);
        });

    /// <summary>p ← p·keep + o·<paramref name="move"/>.</summary>
    public static void Move<T>(float* values, nint direction, long rows, int columns, long stride, float move, float keep)
        where T : struct, IStorage =>
        ForRows(rows, columns, row =>
        {
            var p = values + row * stride;
            var o = (byte*)direction + row * columns * T.Size;
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
