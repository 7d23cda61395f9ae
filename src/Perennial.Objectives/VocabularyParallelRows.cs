using System.Runtime.Intrinsics;
using Perennial.Data;
using Perennial.Models;
using Perennial.Tensors;

namespace Perennial.Objectives;

/// <summary>
/// <see cref="CrossEntropyRows{T}"/> where each process has some columns of the logits (vocabulary-parallel cross-entropy, Shoeybi et al.
/// 2019, part 3): greatest logit, sum of exponentials and the target's logit are put together, three numbers a row; the logits stay.
/// </summary>
/// <typeparam name="T">Storage of the logits; the arithmetic is float32, sums over processes are double.</typeparam>
internal static unsafe class VocabularyParallelRows<T>
    where T : struct, IStorage
{
    /// <summary>losses[r] ← log Σ exp(logits[r]) − logits[r, target] over all columns; with <paramref name="differentiate"/> the columns here become their gradient.</summary>
    /// <param name="rows">Number of rows.</param>
    /// <param name="stride">Elements from one row to the next.</param>
    /// <param name="logits">The first row of the columns here.</param>
    /// <param name="targets">Ids over the whole vocabulary, one a row.</param>
    /// <param name="losses">Losses in nats, one a row; the same on every process.</param>
    /// <param name="scale">Factor on the gradient.</param>
    /// <param name="differentiate">Whether the gradient is wanted.</param>
    /// <param name="shard">Which columns are here.</param>
    public static void Apply(int rows, int stride, void* logits, long* targets, double* losses, float scale, bool differentiate, VocabularyShard shard)
    {
        for (var row = 0; row < rows; row++)
            if (targets[row] != TokenBatch.Ignored && (ulong)targets[row] >= (ulong)shard.Vocabulary) throw new ArgumentException($"target {targets[row]} is not in the vocabulary of {shard.Vocabulary}");
        var (own, peaks, sums) = (new double[rows], new double[rows], new double[2 * rows]);
        fixed (double* mine = own, all = peaks, totals = sums)
        {
            var (first, second, third) = ((nint)mine, (nint)all, (nint)totals);
            ThreadTeam.ForRows(rows, 4, (begin, end) =>
            {
                for (var row = begin; row < end; row++) ((double*)first)[row] = Peak((byte*)logits + row * stride * T.Size, shard.Rows);
            });
            own.CopyTo(peaks, 0);
            shard.Peers.Max(peaks);
            ThreadTeam.ForRows(rows, 4, (begin, end) =>
            {
                for (var row = begin; row < end; row++)
                {
                    var start = (byte*)logits + row * stride * T.Size;
                    ((double*)third)[row] = SumOfExponentials(start, shard.Rows, (float)((double*)second)[row]);
                    var column = targets[row] - shard.FirstRow;
                    ((double*)third)[rows + row] = (ulong)column < (ulong)shard.Rows ? Read(start, (int)column) : 0;
                }
            });
            shard.Peers.Sum(sums);
            ThreadTeam.ForRows(rows, 4, (begin, end) =>
            {
                for (var row = begin; row < end; row++)
                {
                    var start = (byte*)logits + row * stride * T.Size;
                    var (peak, total, ignored) = (((double*)second)[row], ((double*)third)[row], targets[row] == TokenBatch.Ignored);
                    losses[row] = ignored ? 0 : peak + Math.Log(total) - ((double*)third)[rows + row];
                    if (!differentiate) continue;
                    if (ignored) new Span<byte>(start, shard.Rows * T.Size).Clear();
                    else Differentiate(start, shard.Rows, targets[row] - shard.FirstRow, (float)peak, (float)total, scale);
                }
            });
        }
    }

    private static double Peak(byte* logits, int count)
    {
        var highest = Vector256.Create(float.NegativeInfinity);
        var whole = count & ~7;
        for (var i = 0; i < whole; i += 8) highest = Vector256.MaxNative(highest, T.Load(logits, i));
        var peak = float.NegativeInfinity;
        for (var i = 0; i < 8; i++) peak = MathF.Max(peak, highest[i]);
        for (var i = whole; i < count; i++) peak = MathF.Max(peak, Read(logits, i));
        return peak;
    }

    private static double SumOfExponentials(byte* logits, int count, float peak)
    {
        var sum = Vector256<float>.Zero;
        var (whole, shift) = (count & ~7, Vector256.Create(peak));
        for (var i = 0; i < whole; i += 8) sum += VectorMath.Exp(T.Load(logits, i) - shift);
        double total = Vector256.Sum(sum);
        for (var i = whole; i < count; i++) total += MathF.Exp(Read(logits, i) - peak);
        return total;
    }

    private static void Differentiate(byte* logits, int count, long hit, float peak, float total, float scale)
    {
        var (whole, shift, factor) = (count & ~7, Vector256.Create(peak), Vector256.Create(scale / total));
        float* wanted = stackalloc float[8];
        var isHere = (ulong)hit < (ulong)count;
        var atTarget = isHere ? MathF.Exp(Read(logits, (int)hit) - peak) / total * scale - scale : 0;
        for (var i = 0; i < whole; i += 8)
        {
            var slope = VectorMath.Exp(T.Load(logits, i) - shift) * factor;
            T.Store(logits, i, isHere && (ulong)(hit - i) < 8 ? slope.WithElement((int)(hit - i), atTarget) : slope);
        }
        if (whole == count) return;
        for (var i = 0; i < 8; i++) wanted[i] = whole + i >= count ? 0 : whole + i == hit ? atTarget : MathF.Exp(Read(logits, whole + i) - peak) * (scale / total);
        T.Store(wanted, 0, Vector256.Load(wanted));
        Buffer.MemoryCopy(wanted, logits + whole * T.Size, (count - whole) * T.Size, (count - whole) * T.Size);
    }

    private static float Read(byte* logits, int index) =>
        T.Size == 2 ? BitConverter.UInt32BitsToSingle((uint)((ushort*)logits)[index] << 16) : ((float*)logits)[index];
}
